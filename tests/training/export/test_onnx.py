"""The exported graph computes what the module computes, whatever the history."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from app.bundle import Histories
from training.export import export_encoder
from training.models.history import HistoryCommittee, HistoryQuery


def query(*, num_items: int = 30, channels: int = 2, rank: int = 4) -> HistoryQuery:
    generator = torch.Generator().manual_seed(0)
    committee = HistoryCommittee(
        num_items=num_items,
        num_channels=channels,
        num_members=2,
        hidden_size=6,
        dropout=0.3,
        log_popularity_I=torch.zeros(num_items),
        generator=generator,
    )
    table_IR = torch.randn(num_items, rank, generator=generator)
    return HistoryQuery(
        committee,
        linear_table_IR=table_IR,
        linear_vectors_IR=table_IR,
        positive_threshold=4.0,
        level_ratings_K=torch.tensor([1.0, 3.0, 5.0]),
        level_weights_K=torch.tensor([0.1, 0.3, 1.1]),
    )


def random_histories(num_items: int, rng: np.random.Generator) -> Histories:
    """Forty of them, each as long as it may be, the empty one, single events and the whole catalogue included."""
    lengths = [0, 1, num_items, *rng.integers(0, num_items + 1, size=37)]
    items = [rng.choice(num_items, size=length, replace=False).tolist() for length in lengths]
    ratings = [rng.choice([1.0, 2.0, 3.5, 4.0, 5.0, np.nan], size=length).tolist() for length in lengths]
    return Histories.of(items, ratings)


@pytest.mark.parametrize(("num_items", "channels", "rank"), [(30, 1, 0), (30, 2, 4), (1, 2, 1)])
def test_the_graph_equals_the_module_on_any_history(num_items: int, channels: int, rank: int) -> None:
    """In batches of any size and length, a catalogue of one item included; the graph survives being written and read."""
    module = query(num_items=num_items, channels=channels, rank=rank)
    encoder = export_encoder(module, num_items=num_items)
    assert encoder.dim == 2 * 6 + rank + 1
    again = type(encoder)(encoder.graph.content(), num_items=num_items)
    rng = np.random.default_rng(1)
    for size in (40, 3, 1):
        histories = random_histories(num_items, rng).take(np.arange(size))
        items_BL, ratings_BL = (torch.from_numpy(array) for array in histories.padded(num_items))
        with torch.no_grad():
            expected_BD = module(items_BL, ratings_BL).numpy()
        np.testing.assert_allclose(encoder.encode(histories), expected_BD, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(again.encode(histories), encoder.encode(histories))


class Moody(nn.Module):
    """Answers otherwise when it is traced."""

    def forward(self, items_BL: Tensor, ratings_BL: Tensor) -> Tensor:
        """A query of one dimension."""
        total_B1 = ratings_BL.nan_to_num().sum(1, keepdim=True) + items_BL.sum(1, keepdim=True)
        return total_B1 + 1.0 if torch.compiler.is_exporting() else total_B1


def test_a_graph_that_answers_otherwise_is_never_exported() -> None:
    """The self-check compares them before anybody trusts the graph."""
    with pytest.raises(RuntimeError, match=r"the exported encoder differs from the trained one by [01]\."):
        export_encoder(Moody(), num_items=30)


def test_the_exporter_s_loggers_are_left_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of the exporter's own news is logged, and levels that somebody set stay."""
    logger = logging.getLogger("torch.onnx")
    logger.setLevel(logging.WARNING)
    with pytest.raises(RuntimeError):
        export_encoder(Moody(), num_items=30)
    assert logger.level == logging.WARNING
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
