"""From LightGBM's trees to the ranker that the service runs.

Shapes: C candidates, F features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper

from app.bundle import FeatureRanker
from training.errors import DataError

_TOLERANCE = 1e-9


def export_trees(booster: Any, *, num_features: int, num_trees: int) -> FeatureRanker:
    """A booster of numerical features as a graph of `TreeEnsemble` (ai.onnx.ml 5), exact in double precision; checked.

    Args:
        booster: a `lightgbm.Booster`.
        num_features: F.
        num_trees: the first so many of its trees.

    Raises:
        DataError: no tree splits anything.
        RuntimeError: the graph's answers differ from the booster's; a mistake of ours.
    """
    trees = [tree["tree_structure"] for tree in booster.dump_model(num_iteration=num_trees)["tree_info"]]
    if not any("split_feature" in tree for tree in trees):
        raise DataError(
            "no tree found a split: the features do not tell the training candidates apart; use more data or smaller leaves"
        )
    ranker = FeatureRanker(_graph(trees, num_features))
    thresholds = _thresholds(trees, num_features)
    # On both sides of every threshold, and on it: that is where trees go astray.
    rng = np.random.default_rng(0)
    features_CF = np.stack(
        [rng.choice(np.concatenate([values, np.nextafter(values, np.float32(np.inf))]), size=200) for values in thresholds],
        axis=1,
    )
    expected_C = booster.predict(features_CF.astype(np.float64), num_iteration=num_trees)
    difference = float(np.abs(ranker.scores(features_CF) - expected_C).max())
    if not difference <= _TOLERANCE * max(1.0, float(np.abs(expected_C).max())):
        raise RuntimeError(f"the exported trees differ from the trained ones by {difference}")
    return ranker


def _graph(trees: list[dict[str, Any]], num_features: int) -> bytes:
    """All trees in the arrays of `TreeEnsemble`: inner nodes in one table, leaves in another."""
    features: list[int] = []
    thresholds: list[float] = []
    children: list[list[int]] = []
    are_leaves: list[list[int]] = []
    weights: list[float] = []
    roots: list[int] = []

    def add(node: dict[str, Any]) -> tuple[int, int]:
        """Row of a node in its table, and whether that is the table of leaves."""
        if "split_feature" not in node:
            weights.append(node["leaf_value"])
            return len(weights) - 1, 1
        assert node["decision_type"] == "<=", "features are numbers, none is a category"
        row = len(features)
        features.append(node["split_feature"])
        thresholds.append(node["threshold"])
        children.append([0, 0])
        are_leaves.append([0, 0])
        for side, child in enumerate(("left_child", "right_child")):
            children[row][side], are_leaves[row][side] = add(node[child])
        return row, 0

    constant = 0.0
    for tree in trees:
        if "split_feature" in tree:
            roots.append(add(tree)[0])
        else:
            constant += tree["leaf_value"]
    ensemble = helper.make_node(
        "TreeEnsemble",
        ["exact"],
        ["columns"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function=1,  # sum
        post_transform=0,  # none
        tree_roots=roots,
        nodes_featureids=features,
        nodes_splits=_doubles("splits", thresholds),
        nodes_modes=helper.make_tensor("modes", TensorProto.UINT8, [len(features)], [0] * len(features)),  # <=
        nodes_truenodeids=[left for left, _ in children],
        nodes_falsenodeids=[right for _, right in children],
        nodes_trueleafs=[left for left, _ in are_leaves],
        nodes_falseleafs=[right for _, right in are_leaves],
        leaf_targetids=[0] * len(weights),
        leaf_weights=_doubles("weights", weights),
    )
    graph = helper.make_graph(
        [
            # Thresholds lie between single-precision values; compared in double precision none is rounded onto a feature.
            helper.make_node("Cast", ["features"], ["exact"], to=TensorProto.DOUBLE),
            ensemble,
            helper.make_node("Reshape", ["columns", "one row"], ["sums"]),
            helper.make_node("Add", ["sums", "constant"], ["scores"]),
        ],
        "trees",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["candidates", num_features])],
        [helper.make_tensor_value_info("scores", TensorProto.DOUBLE, ["candidates"])],
        [
            helper.make_tensor("one row", TensorProto.INT64, [1], [-1]),
            helper.make_tensor("constant", TensorProto.DOUBLE, [], [constant]),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def _doubles(name: str, values: list[float]) -> Any:
    return helper.make_tensor(name, TensorProto.DOUBLE, [len(values)], values)


def _thresholds(trees: list[dict[str, Any]], num_features: int) -> list[np.ndarray]:
    """Of each feature, in single precision; 0 where there is none."""
    found: list[list[float]] = [[0.0] for _ in range(num_features)]
    waiting = list(trees)
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            found[node["split_feature"]].append(node["threshold"])
            waiting += [node["left_child"], node["right_child"]]
    return [np.array(values, dtype=np.float32) for values in found]
