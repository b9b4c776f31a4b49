"""TREC files hold exactly what we measured, in the order that we ranked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ir_measures
import numpy as np
import pytest

from app.bundle import Vocabulary
from tests.training.evaluation.studies import neighbour_model, popularity_model, small_split
from training.errors import ConfigError
from training.evaluation import PROTOCOLS, evaluate
from training.evaluation.runs import encoded_id, write_qrels, write_run


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("make_model", [popularity_model, neighbour_model])
def test_ir_measures_on_the_files_finds_our_figures_user_by_user(tmp_path: Path, protocol, make_model):
    """Every metric of every user to 1e-9, with ties in the scores (popularity) and in batches of a few users."""
    split = small_split()
    model = make_model(split)
    write_run(tmp_path / "run", model, split, protocol=protocol, tag="a")
    write_qrels(tmp_path / "qrels", split)
    ours = evaluate(model, split, protocol)
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "qrels")))
    run = list(ir_measures.read_trec_run(str(tmp_path / "run")))
    theirs = {
        (m.query_id, str(m.measure)): m.value
        for m in ir_measures.iter_calc([ir_measures.parse_measure(name) for name in ours.per_user], qrels, run)
    }
    assert len(ours.user_rows) > 30
    assert len(theirs) == len(ours.user_rows) * len(ours.per_user)
    for name, values_U in ours.per_user.items():
        for row, value in zip(ours.user_rows, values_U, strict=True):
            assert theirs[split.train.users.id(row), name] == pytest.approx(value, abs=1e-9), (name, row)


def test_a_run_holds_all_candidates_once_with_falling_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Six fields a line; ranks count up, scores fall, nothing that was rated in training, whatever the size of the batches."""
    split = small_split()
    write_run(tmp_path / "run", popularity_model(split), split, protocol="standard", tag="my ranker")
    lines = [line.split(" ") for line in (tmp_path / "run").read_text().splitlines()]
    train = split.train.histories()
    rows = np.flatnonzero(split.test.positives().histories().lengths)
    assert {len(line) for line in lines} == {6}
    assert {(line[1], line[5]) for line in lines} == {("Q0", "my%20ranker")}
    assert len(lines) == (split.train.num_items - train.lengths[rows]).sum()
    for row in rows:
        own = [line for line in lines if line[0] == split.train.users.id(row)]
        had = {split.train.items.id(item) for item in train.take(np.array([row])).items}
        assert {line[2] for line in own} == set(split.train.items.ids) - had
        assert [int(line[3]) for line in own] == list(range(1, len(own) + 1))
        assert [float(line[4]) for line in own] == sorted({float(line[4]) for line in own}, reverse=True)
    monkeypatch.setattr("training.evaluation.runs._CELLS", 7 * split.train.num_items)
    write_run(tmp_path / "batches", popularity_model(split), split, protocol="standard", tag="my ranker")
    assert (tmp_path / "batches").read_bytes() == (tmp_path / "run").read_bytes()


def test_a_depth_keeps_the_head_and_changes_only_what_looks_deeper(tmp_path: Path):
    """With ten items a user nDCG@10 stays and AP falls, or stays where all was found."""
    split = small_split()
    model = popularity_model(split)
    write_run(tmp_path / "run", model, split, protocol="paper", tag="a", depth=10)
    write_qrels(tmp_path / "qrels", split)
    measures = [ir_measures.nDCG @ 10, ir_measures.AP]
    files = (ir_measures.read_trec_qrels(str(tmp_path / "qrels")), ir_measures.read_trec_run(str(tmp_path / "run")))
    shallow = ir_measures.calc_aggregate(measures, *files)
    full = evaluate(model, split, "paper").means
    assert shallow[measures[0]] == pytest.approx(full["nDCG@10"], abs=1e-9)
    assert shallow[measures[1]] < full["AP"]


def test_ids_with_white_space_stay_one_field_and_distinct(tmp_path: Path):
    """Blanks, tabs, line ends, quotes and percent signs in ids and in the ranker's name."""
    assert encoded_id("The 3 %\t\n\u00a0é\x00") == "The%203%20%25%09%0A%C2%A0é%00"
    split = small_split(num_users=20)
    odd = [f'user {row} "%20" ä' for row in range(20)]
    items = [f"film\t{row}" for row in range(split.train.num_items)]
    vocabularies = {"users": Vocabulary("user", odd), "items": Vocabulary("item", items)}
    split = replace(split, train=replace(split.train, **vocabularies), test=replace(split.test, **vocabularies))
    write_run(tmp_path / "run", popularity_model(split), split, protocol="paper", tag="a b")
    write_qrels(tmp_path / "qrels", split)
    run = list(ir_measures.read_trec_run(str(tmp_path / "run")))
    assert {d.query_id for d in run} == {
        encoded_id(odd[row]) for row in np.flatnonzero(np.bincount(split.test.positives().user_rows))
    }
    assert {d.doc_id for d in run} == {encoded_id(item) for item in items}
    assert len(list(ir_measures.read_trec_qrels(str(tmp_path / "qrels")))) == len(split.test.positives())


def test_a_run_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The disk is full at the second batch."""
    split = small_split()
    (tmp_path / "run").write_text("old")
    monkeypatch.setattr("training.evaluation.runs._CELLS", 7 * split.train.num_items)
    calls = iter([b"some lines\n"])

    def full(*columns: object) -> bytes:
        try:
            return next(calls)
        except StopIteration:
            raise OSError(28, "No space left on device") from None

    monkeypatch.setattr("training.evaluation.runs._lines", full)
    with pytest.raises(OSError, match="No space"):
        write_run(tmp_path / "run", popularity_model(split), split, protocol="paper", tag="a")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run").read_text() == "old"


def test_a_run_too_long_to_be_of_use_is_refused_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    split = small_split()
    monkeypatch.setattr("training.evaluation.runs.MOST_LINES", 500)
    with pytest.raises(ConfigError, match=r"40 items each has 2,\d+ lines, expected at most 500; .* --run-depth 8"):
        write_run(tmp_path / "run", popularity_model(split), split, protocol="paper", tag="a")
    with pytest.raises(ConfigError, match="a run depth of 0 is impossible"):
        write_run(tmp_path / "run", popularity_model(split), split, protocol="paper", tag="a", depth=0)
    assert list(tmp_path.iterdir()) == []
