"""From trained arrays to a bundle: item vectors, ONNX encoder, fold-in, index, self-check."""

from training.export.bundle import export_bundle
from training.export.fold_in import fit_fold_in
from training.export.index import build_index
from training.export.onnx import export_encoder

__all__ = ["build_index", "export_bundle", "export_encoder", "fit_fold_in"]
