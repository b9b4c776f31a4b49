"""The manifest: everything that can be known of a bundle without opening its arrays."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

SchemaVersion = Literal[1, 2, 3]
"""Those that are read: 2 added the rescorer, which a reader of version 1 would leave out, 3 the kinds `search` and `rerank`."""
SCHEMA_VERSION: SchemaVersion = 3
"""The one that is written; raised whenever a reader of the old version could misread a new bundle."""

Language = Literal[
    "none",
    "danish",
    "dutch",
    "english",
    "french",
    "german",
    "italian",
    "norwegian",
    "portuguese",
    "russian",
    "spanish",
    "swedish",
    "turkish",
]
"""Of texts, for stems and stop words; `none` keeps every word as it is."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]


_DEEPEST = 32
"""Levels of what people alone read: enough for any table, and for every writer of JSON."""


def _checked(told: dict[str, Any]) -> dict[str, Any]:
    """What is only shown, if it can be: encoders of JSON know neither NaN nor numbers and depths without bounds."""
    waiting: list[tuple[Any, int]] = [(told, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("a number is not finite")
        if isinstance(value, int) and not _LEAST <= value <= _MOST:
            raise ValueError("a number needs more than 64 bits")
        if isinstance(value, dict | list):
            if depth > _DEEPEST:
                raise ValueError(f"it is more than {_DEEPEST} levels deep")
            waiting += [(part, depth + 1) for part in (value.values() if isinstance(value, dict) else value)]
    return told


def _within_time(time: datetime) -> datetime:
    try:
        time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the year is out of range") from error
    return time


_LEAST, _MOST = -(2**63), 2**63 - 1
Told = Annotated[dict[str, Any], AfterValidator(_checked)]
"""Values by their names, for people."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileEntry(_Part):
    """One file of the bundle."""

    path: Annotated[str, Field(min_length=1, max_length=255)]
    """A name in the bundle's folder."""
    size: int
    """Bytes."""
    sha256: Sha256


class SplitInfo(_Part):
    """How test data were set apart."""

    name: str
    parameters: Told = {}


class DataInfo(_Part):
    """What the ranker was trained on."""

    name: str
    fingerprint: Sha256
    """SHA-256 over the training interactions in their order."""
    split: SplitInfo
    num_users: int
    num_items: int
    num_interactions: int
    """Training interactions, low ratings included."""


class LinearEncoderInfo(_Part):
    """`encoder.npz` holds `table` and `intercept`, each optional; no table means the identity."""

    kind: Literal["linear"] = "linear"
    exponent: float = 0.0
    low_weight: float = 1.0


class RidgeEncoderInfo(_Part):
    """No file: the item vectors and these two numbers are enough."""

    kind: Literal["ridge"] = "ridge"
    confidence: float
    regularization: float


class OnnxEncoderInfo(_Part):
    """`encoder.onnx`, inputs `items` and `ratings`, output `vectors`."""

    kind: Literal["onnx"] = "onnx"


EncoderInfo = Annotated[LinearEncoderInfo | RidgeEncoderInfo | OnnxEncoderInfo, Field(discriminator="kind")]


class HistoryInfo(_Part):
    """What the ranker makes of ratings; see `HistoryPolicy`."""

    positive_threshold: float
    signal: Literal["positives", "all"]
    demote_low: bool


class ScoringInfo(_Part):
    """How scores come about."""

    dim: int
    """Dimensions of the index, the bias included."""
    dtype: Literal["float32"] = "float32"
    bias_folded: bool
    fidelity: Literal["exact", "approximate"]
    """Whether the inner product is the model's own score, or a first stage before a rescorer."""
    overlap_at_100: float | None = None
    """Measured share of the model's own top 100 among the candidates that the first stage hands on; None where it is exact."""


class IndexInfo(_Part):
    """`items.faiss`."""

    factory: str
    """FAISS factory string."""
    metric: Literal["inner_product"] = "inner_product"
    parameters: dict[str, Annotated[int, Field(ge=1, lt=2**31)]] = {}
    """Search parameters, set once at load: `efSearch` or `nprobe`."""
    recall_at_100: float
    """Measured at build against exact search, on encoded users."""
    num_queries: int
    """Queries that the recall was measured on."""


class RescorerInfo(_Part):
    """`rescorer.onnx`, inputs `queries` and `items`, outputs `scores` and `ratings`."""

    candidates: Annotated[int, Field(ge=100)]
    """How many the first stage hands on for up to 100 answers; for more answers in the same proportion."""
    predicts_ratings: bool
    """Whether `ratings` means something, in the data's own unit."""


class TextDataInfo(_Part):
    """What a search ranker searches, and what it learned from."""

    name: str
    fingerprint: Sha256
    """SHA-256 over documents, queries and the judgements learned from."""
    split: SplitInfo
    language: Language
    num_documents: int
    num_queries: int
    """With a training judgement."""
    num_judgements: int
    """Training judgements, those that say that a document is no answer included."""


class DenseInfo(_Part):
    """`encoder.onnx`, `tokenizer.json`, and the documents' vectors."""

    dim: int
    query_tokens: Annotated[int, Field(ge=1)]
    document_tokens: Annotated[int, Field(ge=1)]
    """Where texts are cut off."""
    index: IndexInfo


class FusionInfo(_Part):
    """How lexical and dense scores become one; see `Fusion`."""

    method: Literal["standardised", "reciprocal-ranks"]
    dense_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class FeatureDataInfo(_Part):
    """What a ranker of features learned from."""

    name: str
    fingerprint: Sha256
    """SHA-256 over training features and grades."""
    split: SplitInfo
    num_queries: int
    num_candidates: int
    num_features: int


class Manifest(_Part):
    """What the manifest says of a bundle of any kind."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: Name
    version: Name
    ranker: str
    paper: str
    created: Annotated[datetime, AfterValidator(_within_time)]
    seed: Annotated[int, Field(ge=_LEAST, le=_MOST)]
    config: Told
    """The resolved hyper-parameters, defaults included."""
    metrics: Told = {}
    """What was measured on the test part: protocol or part → metric (ir-measures names) → value."""
    training: Told = {}
    """What the training run reported: epochs, seconds, the selected epoch."""
    libraries: dict[str, str] = {}
    commit: str | None = None
    files: list[FileEntry]

    @property
    def release(self) -> str:
        """NAME/VERSION."""
        return f"{self.name}/{self.version}"

    @property
    def size(self) -> int:
        """Bytes of all files, this one left out."""
        return sum(entry.size for entry in self.files)


class RecommenderManifest(Manifest):
    """Of a ranker of items for people."""

    kind: Literal["recommender"] = "recommender"
    data: DataInfo
    history: HistoryInfo
    encoder: EncoderInfo
    scoring: ScoringInfo
    rescorer: RescorerInfo | None = None
    """What orders the candidates of the first stage; None where the inner product is the ranker's own score."""
    index: IndexInfo


class SearchManifest(Manifest):
    """Of a ranker of documents for texts."""

    kind: Literal["search"] = "search"
    data: TextDataInfo
    dense: DenseInfo | None = None
    """None where there is lexical search alone."""
    fusion: FusionInfo
    mode: Literal["lexical", "dense", "hybrid"]
    """What answers where a request does not say; chosen on validation data."""


class RerankManifest(Manifest):
    """Of a ranker of candidates by their features."""

    kind: Literal["rerank"] = "rerank"
    data: FeatureDataInfo


def _kind(value: Any) -> str:
    found = value.get("kind", "recommender") if isinstance(value, dict) else getattr(value, "kind", "recommender")
    return str(found)  # the versions before 3 knew one kind and did not say it


AnyManifest = Annotated[
    Annotated[RecommenderManifest, Tag("recommender")]
    | Annotated[SearchManifest, Tag("search")]
    | Annotated[RerankManifest, Tag("rerank")],
    Discriminator(_kind),
]
"""`manifest.json`."""
