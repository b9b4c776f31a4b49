"""The bundle: the contract between training, which writes one, and the service, which reads it.

A bundle is a folder `NAME/VERSION/` with a manifest that names every file by size and SHA-256. See `docs/bundle.md`.
"""

from app.bundle.analysis import LANGUAGES, Analyzer
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
from app.bundle.features import FeatureRanker
from app.bundle.files import new_folder, replacing_file, sha256_of, sync_folder, write_file
from app.bundle.graphs import Graph
from app.bundle.histories import Histories
from app.bundle.lexical import LexicalIndex
from app.bundle.manifest import SCHEMA_VERSION, DataInfo, IndexInfo, Manifest, RescorerInfo, SplitInfo
from app.bundle.model import HistoryPolicy, VectorModel
from app.bundle.reader import Bundle, read_bundle, read_manifest
from app.bundle.rescorer import OnnxRescorer
from app.bundle.search import MODES, Fusion, FusionMethod, Mode, SearchModel
from app.bundle.texts import PADDING, TextEncoder
from app.bundle.vocabulary import ItemId, Row, UserId, Vocabulary
from app.bundle.writer import BundleDraft, write_bundle

__all__ = [
    "LANGUAGES",
    "MODES",
    "PADDING",
    "SCHEMA_VERSION",
    "Analyzer",
    "Bundle",
    "BundleDraft",
    "BundleError",
    "BundleNotFound",
    "ContentInvalid",
    "DataInfo",
    "Encoder",
    "FeatureRanker",
    "FileDamaged",
    "Fusion",
    "FusionMethod",
    "Graph",
    "Histories",
    "HistoryPolicy",
    "IndexInfo",
    "ItemId",
    "LexicalIndex",
    "LinearEncoder",
    "Manifest",
    "ManifestInvalid",
    "Mode",
    "OnnxEncoder",
    "OnnxRescorer",
    "RescorerInfo",
    "RidgeEncoder",
    "Row",
    "SchemaUnsupported",
    "SearchModel",
    "SplitInfo",
    "TextEncoder",
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
