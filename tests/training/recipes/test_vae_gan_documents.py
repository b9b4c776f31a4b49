"""`vae-gan` on documents: where it puts them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.training.texts import make_collection
from training.baselines.related import Cosines
from training.data.bags import Bags
from training.evaluation.related import evaluate_related, related_pairs
from training.loop import Run
from training.models.layers import by_norm
from training.recipes.vae_gan.documents import DocumentConfig, Places, place_documents

SMALL: dict[str, Any] = {
    "num_members": 2,
    "embedding_size": 8,
    "discriminator_hidden_sizes": (12, 6),
    "batch_size": 16,
    "num_epochs": 12,
}


def placed(seed: int = 0, **settings: Any) -> Places:
    return place_documents(Bags.of(make_collection()).tf_idf(), DocumentConfig(**(SMALL | settings)), Run(seed=seed))


def test_every_document_has_a_place_in_both_spaces_of_each_member() -> None:
    """60 documents, 2 members; 8 dimensions of the code, 6 units of the layer that is compared."""
    places = placed(similarity_layer=2)
    assert places.codes_MIZ.shape == (2, 60, 8)
    assert places.features_MIH.shape == (2, 60, 6)
    assert np.isfinite(places.codes_MIZ).all()
    assert np.abs(places.features_MIH).max() <= 1


def test_the_same_seed_puts_them_in_the_same_places_and_another_elsewhere() -> None:
    one, again, other = placed(), placed(), placed(seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.allclose(one.codes_MIZ, other.codes_MIZ)


def test_documents_of_a_topic_come_to_lie_together() -> None:
    """Queries relate documents of the same topic; at the first weights lists are much worse, by the documents' common words."""
    collection = make_collection()
    related_II = related_pairs(list(collection.judged.values()), collection.num_documents)

    def precision(places: Places) -> float:
        return float(evaluate_related(Cosines(*places.codes_MIZ), related_II)["P@5"].mean())

    learned = precision(placed(num_epochs=60, similarity_weight=1.0, encoder_similarity_weight=1.0))
    assert learned > 0.85
    assert learned > precision(placed(learning_rate=1e-9)) + 0.1


def test_without_the_game_the_discriminator_has_no_say() -> None:
    """Whatever it learns, codes stay the same; with the game they do not."""
    config = DocumentConfig(**SMALL)
    assert config.without_game.embedding_size == config.embedding_size
    weights_IT = Bags.of(make_collection()).tf_idf()

    def codes(config: DocumentConfig, rate: float) -> np.ndarray:
        config = config.model_copy(update={"discriminator_learning_rate": rate})
        return place_documents(weights_IT, config, Run(seed=0)).codes_MIZ

    np.testing.assert_array_equal(codes(config.without_game, 1e-3), codes(config.without_game, 1e-1))
    assert not np.allclose(codes(config, 1e-3), codes(config, 1e-1))


def test_the_encoder_is_given_a_bag_of_norm_one_and_an_empty_one_as_it_is() -> None:
    scaled = by_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    torch.testing.assert_close(scaled, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


def test_interrupted_and_resumed_it_puts_them_in_the_same_places(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after the fifth epoch."""
    weights_IT, config = Bags.of(make_collection()).tf_idf(), DocumentConfig(**SMALL)
    undisturbed = place_documents(weights_IT, config, Run(seed=0))
    add = Run.scalar

    def scalar(self: Run, name: str, value: float, step: int) -> None:
        add(self, name, value, step)
        if step == 5:
            raise KeyboardInterrupt

    from training.errors import Interrupted  # noqa: PLC0415 - beside its use

    with monkeypatch.context() as patch:
        patch.setattr(Run, "scalar", scalar)
        with pytest.raises(Interrupted):
            place_documents(weights_IT, config, Run(seed=0, folder=tmp_path, checkpoint_every=2))
    resumed = place_documents(weights_IT, config, Run(seed=0, folder=tmp_path, checkpoint_every=2, resume=True))
    assert all(np.array_equal(a, b) for a, b in zip(undisturbed, resumed, strict=True))
