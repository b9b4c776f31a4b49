"""From trained arrays to a bundle: item vectors, ONNX encoders and rescorers, fold-in, index, self-check."""

from training.export.bundle import export_bundle
from training.export.features import export_features
from training.export.fold_in import fit_fold_in
from training.export.history import HistoryGraph, history_encoder
from training.export.index import build_index
from training.export.onnx import export_encoder
from training.export.rescorer import export_rescorer, fit_first_stage, users_to_fit_on
from training.export.search import export_reranker, export_search
from training.export.texts import export_text_encoder
from training.export.trees import export_trees
from training.export.versions import Stamp, commit_of_code

__all__ = [
    "HistoryGraph",
    "Stamp",
    "build_index",
    "commit_of_code",
    "export_bundle",
    "export_encoder",
    "export_features",
    "export_reranker",
    "export_rescorer",
    "export_search",
    "export_text_encoder",
    "export_trees",
    "fit_first_stage",
    "fit_fold_in",
    "history_encoder",
    "users_to_fit_on",
]
