"""The bundle: the contract between training, which writes one, and the service, which reads it.

A bundle is a folder `NAME/VERSION/` with a manifest that names every file by size and SHA-256. See `docs/bundle.md`.
"""

from app.bundle.encoders import Encoder, LinearEncoder, OnnxEncoder, RidgeEncoder
from app.bundle.errors import (
    BundleError,
    BundleNotFound,
    ContentInvalid,
    FileDamaged,
    ManifestInvalid,
    SchemaUnsupported,
    UnknownId,
)
from app.bundle.files import new_folder, replacing_file, sha256_of, sync_folder, write_file
from app.bundle.graphs import Graph
from app.bundle.histories import Histories
from app.bundle.manifest import SCHEMA_VERSION, DataInfo, IndexInfo, Manifest, RescorerInfo, SplitInfo
from app.bundle.model import HistoryPolicy, VectorModel
from app.bundle.reader import Bundle, read_bundle, read_manifest
from app.bundle.rescorer import OnnxRescorer
from app.bundle.vocabulary import ItemId, Row, UserId, Vocabulary
from app.bundle.writer import BundleDraft, write_bundle

__all__ = [
    "SCHEMA_VERSION",
    "Bundle",
    "BundleDraft",
    "BundleError",
    "BundleNotFound",
    "ContentInvalid",
    "DataInfo",
    "Encoder",
    "FileDamaged",
    "Graph",
    "Histories",
    "HistoryPolicy",
    "IndexInfo",
    "ItemId",
    "LinearEncoder",
    "Manifest",
    "ManifestInvalid",
    "OnnxEncoder",
    "OnnxRescorer",
    "RescorerInfo",
    "RidgeEncoder",
    "Row",
    "SchemaUnsupported",
    "SplitInfo",
    "UnknownId",
    "UserId",
    "VectorModel",
    "Vocabulary",
    "new_folder",
    "read_bundle",
    "read_manifest",
    "replacing_file",
    "sha256_of",
    "sync_folder",
    "write_bundle",
    "write_file",
]
