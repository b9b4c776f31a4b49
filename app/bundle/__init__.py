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
from app.bundle.items import item_texts
from app.bundle.lexical import LexicalIndex
from app.bundle.manifest import (
    SCHEMA_VERSION,
    AnyManifest,
    DataInfo,
    FeatureDataInfo,
    IndexInfo,
    Language,
    Manifest,
    RecommenderManifest,
    RerankManifest,
    RescorerInfo,
    SearchManifest,
    SplitInfo,
    TextDataInfo,
)
from app.bundle.model import HistoryPolicy, VectorModel
from app.bundle.reader import AnyBundle, check_files, parse_manifest, read_bundle, read_manifest, read_recommender
from app.bundle.recommender import Bundle, BundleDraft, write_bundle
from app.bundle.rerank import RerankBundle, RerankDraft, write_rerank
from app.bundle.rescorer import OnnxRescorer
from app.bundle.sealing import MANIFEST, SEAL, seal, write_manifest
from app.bundle.search import (
    MODES,
    Fusion,
    FusionMethod,
    Mode,
    Moments,
    SearchModel,
    fused_scores,
    moments_of,
    reciprocal_ranks,
    standardised,
)
from app.bundle.searching import SearchBundle, SearchDraft, write_search
from app.bundle.texts import PADDING, TextEncoder
from app.bundle.vocabulary import ItemId, Row, UserId, Vocabulary

__all__ = [
    "LANGUAGES",
    "MANIFEST",
    "MODES",
    "PADDING",
    "SCHEMA_VERSION",
    "SEAL",
    "Analyzer",
    "AnyBundle",
    "AnyManifest",
    "Bundle",
    "BundleDraft",
    "BundleError",
    "BundleNotFound",
    "ContentInvalid",
    "DataInfo",
    "Encoder",
    "FeatureDataInfo",
    "FeatureRanker",
    "FileDamaged",
    "Fusion",
    "FusionMethod",
    "Graph",
    "Histories",
    "HistoryPolicy",
    "IndexInfo",
    "ItemId",
    "Language",
    "LexicalIndex",
    "LinearEncoder",
    "Manifest",
    "ManifestInvalid",
    "Mode",
    "Moments",
    "OnnxEncoder",
    "OnnxRescorer",
    "RecommenderManifest",
    "RerankBundle",
    "RerankDraft",
    "RerankManifest",
    "RescorerInfo",
    "RidgeEncoder",
    "Row",
    "SchemaUnsupported",
    "SearchBundle",
    "SearchDraft",
    "SearchManifest",
    "SearchModel",
    "SplitInfo",
    "TextDataInfo",
    "TextEncoder",
    "UnknownId",
    "UserId",
    "VectorModel",
    "Vocabulary",
    "check_files",
    "fused_scores",
    "item_texts",
    "moments_of",
    "new_folder",
    "parse_manifest",
    "read_bundle",
    "read_manifest",
    "read_recommender",
    "reciprocal_ranks",
    "replacing_file",
    "seal",
    "sha256_of",
    "standardised",
    "sync_folder",
    "write_bundle",
    "write_file",
    "write_manifest",
    "write_rerank",
    "write_search",
]
