"""QA-CNN: convolutions by hand, and vectors that do not depend on what a text is encoded together with.

Shapes: B texts, L tokens, T vocabulary, E embedding dimensions, D dimensions.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from training.models.text_cnn import TextCNN


def a_cnn(**settings: object) -> TextCNN:
    given = {"num_tokens": 9, "embedding_size": 3, "widths": (1, 2, 3, 5), "num_filters": 4} | settings
    cnn = TextCNN(generator=torch.Generator().manual_seed(1), **given)  # type: ignore[arg-type]
    torch.nn.init.normal_(cnn.bias_D, generator=torch.Generator().manual_seed(2))
    return cnn


def by_hand(cnn: TextCNN, tokens: list[int]) -> np.ndarray:
    """A window around every token, one after the other, zeros beyond both ends."""
    embedded = {-1: np.zeros(3)} | {
        place: cnn.embeddings_TE[token].detach().double().numpy() for place, token in enumerate(tokens)
    }
    parts = []
    for width, filters in zip(cnn.widths, cnn.filters, strict=True):
        weights_FEW = filters.detach().double().numpy()
        matches = [
            sum(weights_FEW[:, :, k] @ embedded.get(place - (width - 1) // 2 + k, np.zeros(3)) for k in range(width))
            for place in range(len(tokens))
        ]
        parts.append(np.max(matches, axis=0))
    return np.asarray(np.tanh(np.concatenate(parts) + cnn.bias_D.detach().double().numpy()))


@pytest.mark.parametrize("tokens", [[5], [2, 7], [1, 8, 8, 3], [1, 2, 3, 4, 5, 6, 7, 8]])
def test_a_text_is_the_maxima_of_its_windows(tokens: list[int]) -> None:
    """Of texts shorter than the widest window too; the expected values are loops over windows in double precision."""
    cnn = a_cnn()
    found_1D = cnn(torch.tensor([tokens])).detach().numpy()
    assert found_1D.shape == (1, cnn.dim) == (1, 16)
    np.testing.assert_allclose(found_1D[0], by_hand(cnn, tokens), atol=1e-6)


def test_padding_is_in_no_maximum_even_where_its_embedding_is_not_zero() -> None:
    cnn = a_cnn()
    cnn.embeddings_TE.data[0] = 100.0
    padded_BL = torch.tensor([[3, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6], [7, 8, 0, 0, 0, 0]])
    together_BD = cnn(padded_BL)
    torch.testing.assert_close(together_BD[0], cnn(torch.tensor([[3]]))[0])
    torch.testing.assert_close(together_BD[2], cnn(torch.tensor([[7, 8]]))[0])


def test_a_text_without_tokens_is_zero_and_teaches_nothing() -> None:
    """Its maxima are over nothing; neither the vector nor a gradient may become NaN."""
    cnn = a_cnn()
    vectors_BD: Tensor = cnn(torch.tensor([[0, 0, 0], [1, 2, 0]]))
    assert torch.equal(vectors_BD[0], torch.zeros(cnn.dim))
    assert vectors_BD[1].abs().min() > 0
    vectors_BD.sum().backward()
    for weights in cnn.parameters():
        assert weights.grad is not None and torch.isfinite(weights.grad).all()
    assert torch.equal(cnn.embeddings_TE.grad[0], torch.zeros(3))


def test_dropout_is_in_training_alone_and_comes_from_the_generator() -> None:
    cnn = a_cnn(dropout=0.5)
    tokens_BL = torch.tensor([[1, 2, 3, 4]])
    whole = cnn(tokens_BL)
    drawn = [cnn(tokens_BL, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(whole, cnn(tokens_BL)) and not torch.equal(whole, drawn[0])


def test_embeddings_can_start_where_they_are_told() -> None:
    start_TE = torch.arange(27.0).reshape(9, 3)
    cnn = a_cnn(embeddings_TE=start_TE)
    assert torch.equal(cnn.embeddings_TE.data, start_TE)
    assert cnn.embeddings_TE.data_ptr() != start_TE.data_ptr()
