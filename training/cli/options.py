"""Options that several commands share, as dataclasses that `spread` turns into parameters of a typer command.

    @spread
    def train(ranker: str, data: DataFlags, *, seed: int = 0) -> None:
        split = load_split(data)

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast, get_type_hints

import typer

from training.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from app.bundle.manifest import Language
    from training.data import Collection, Dataset, FeatureData, FeatureSplit, FileOptions, Split, TextSplit

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = "A file of your own"
_TEXTS = "Documents to search"
_SPLIT = "Split"

SplitName = Literal["paper", "given", "random", "kfold", "time", "leave-last-out", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFlags:
    """How to read a file of interactions; see `training.data.FileOptions`."""

    user_column: Annotated[str | None, typer.Option(help="Its column of user ids.", rich_help_panel=_FILE)] = None
    item_column: Annotated[str | None, typer.Option(help="Its column of item ids.", rich_help_panel=_FILE)] = None
    rating_column: Annotated[str | None, typer.Option(help="Its column of ratings, or none.", rich_help_panel=_FILE)] = None
    time_column: Annotated[str | None, typer.Option(help="Its column of times, or none.", rich_help_panel=_FILE)] = None
    items: Annotated[Path | None, typer.Option(help="A table of items: ids, titles, any metadata.", rich_help_panel=_FILE)] = (
        None
    )
    item_id_column: Annotated[str | None, typer.Option(help="The item table's column of ids.", rich_help_panel=_FILE)] = None
    format: Annotated[
        Literal["csv", "tsv", "parquet", "lists"] | None,
        typer.Option(
            help="What the file is, where its suffix does not say; lists: a line for each user.", rich_help_panel=_FILE
        ),
    ] = None
    separator: Annotated[str | None, typer.Option(help="One character between fields.", rich_help_panel=_FILE)] = None
    header: Annotated[bool, typer.Option(help="Whether the first line names the columns.", rich_help_panel=_FILE)] = True
    encoding: Annotated[str, typer.Option(help="Of text files.", rich_help_panel=_FILE)] = "utf-8"
    duplicates: Annotated[
        Literal["error", "first", "last", "max"],
        typer.Option(help="What becomes of a pair of user and item that stands there twice.", rich_help_panel=_FILE),
    ] = "error"
    min_interactions: Annotated[
        int | None, typer.Option(help="Leave out users with fewer; 1 keeps everybody.", rich_help_panel=_FILE)
    ] = None
    positive_threshold: Annotated[
        float | None, typer.Option(help="The rating from which an item counts as liked.", rich_help_panel=_FILE)
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFlags(FileFlags):
    """Which data, and how to cut them; see `training.data.make_split`."""

    data: Annotated[
        str,
        typer.Option(
            help="A data set's name (irgan data list), or a path: a CSV, TSV or Parquet file of ratings or clicks; for search "
            "documents, a folder as BEIR has it or a file; for reranking a file or folder in SVMlight's form."
        ),
    ]
    split: Annotated[
        SplitName | None,
        typer.Option(
            help="How to set test events, or queries, apart; by default as usual for the data.", rich_help_panel=_SPLIT
        ),
    ] = None
    test_fraction: Annotated[
        float, typer.Option(help="The share of test events of the splits random and time.", rich_help_panel=_SPLIT)
    ] = 0.2
    folds: Annotated[int, typer.Option(help="Parts of the split kfold.", rich_help_panel=_SPLIT)] = 5
    fold: Annotated[
        int | None,
        typer.Option(
            help="Which part of kfold is the test, from 0.",
            rich_help_panel=_SPLIT,
            show_default="0; rankers of search and reranking take all of them, one after the other",
        ),
    ] = None
    split_seed: Annotated[
        int, typer.Option(help="Of the splits random and kfold, apart from the training's seed.", rich_help_panel=_SPLIT)
    ] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFlags:
    """How to read documents; see `training.data.TextOptions`."""

    language: Annotated[
        str | None,
        typer.Option(
            help="Of all texts, such as german; none keeps words as they are.", rich_help_panel=_TEXTS, show_default="english"
        ),
    ] = None
    queries: Annotated[
        Path | None,
        typer.Option(help="With a plain file of documents: its queries, JSON Lines or id<tab>text.", rich_help_panel=_TEXTS),
    ] = None
    qrels: Annotated[
        Path | None,
        typer.Option(
            help="With --queries: what answers them, a file or a folder with one for each part.", rich_help_panel=_TEXTS
        ),
    ] = None
    id_column: Annotated[str | None, typer.Option(help="The documents' column of ids.", rich_help_panel=_TEXTS)] = None
    title_column: Annotated[str | None, typer.Option(help="Their column of titles, or none.", rich_help_panel=_TEXTS)] = None
    text_column: Annotated[str | None, typer.Option(help="Their column of texts, or none.", rich_help_panel=_TEXTS)] = None
    min_grade: Annotated[
        int, typer.Option(min=1, help="The grade from which a document is an answer.", rich_help_panel=_TEXTS)
    ] = 1
    keep_empty: Annotated[
        bool, typer.Option("--keep-empty", help="Keep documents without a word, which nothing finds.", rich_help_panel=_TEXTS)
    ] = False


def spread(command: Command) -> Command:
    """Replace each parameter that is annotated with a dataclass of options by those options, for typer to see."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if is_dataclass(kind) and isinstance(kind, type):
            groups[name] = kind
            inner = get_type_hints(kind, include_extras=True)
            for field in fields(kind):
                default = inspect.Parameter.empty if field.default is MISSING else field.default
                keyword = inspect.Parameter.KEYWORD_ONLY
                parameters.append(inspect.Parameter(field.name, keyword, default=default, annotation=inner[field.name]))
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=kind))

    @functools.wraps(command)
    def with_groups(**values: Any) -> Any:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        return command(**values)

    annotations = {parameter.name: parameter.annotation for parameter in parameters}
    with_groups.__annotations__ = {**annotations, "return": None}
    with_groups.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    del with_groups.__wrapped__  # or the original's parameters would be read
    return with_groups  # type: ignore[return-value]


def file_options(flags: FileFlags) -> FileOptions:
    """The flags as `training.data` takes them."""
    from training.data import FileOptions  # noqa: PLC0415 - heavy

    return FileOptions(
        user_column=flags.user_column,
        item_column=flags.item_column,
        rating_column=flags.rating_column,
        time_column=flags.time_column,
        form=flags.format,
        separator=unescaped(flags.separator),
        header=flags.header,
        encoding=flags.encoding,
        items=flags.items,
        item_id_column=flags.item_id_column,
        positive_threshold=flags.positive_threshold,
        duplicates=flags.duplicates,
        min_interactions=flags.min_interactions,
    )


def unescaped(separator: str | None) -> str | None:
    """A separator as it is meant, where a shell makes a tab hard to type."""
    return "\t" if separator in {r"\t", "tab"} else separator


def load_data(spec: str, flags: FileFlags) -> Dataset:
    """The data set that a command was asked for; what was guessed or fetched on the way goes to stderr.

    Raises:
        DataError: data that cannot be used.
    """
    from training.data import load_dataset  # noqa: PLC0415 - heavy

    with log_to_stderr():
        return load_dataset(spec, file_options(flags))


def load_split(flags: DataFlags) -> Split:
    """The data that a command was asked for, cut in training and test part.

    Raises:
        DataError: data that cannot be used, or that do not allow the split.
        ConfigError: impossible settings of the split.
    """
    from training.data import make_split  # noqa: PLC0415 - heavy

    return make_split(
        load_data(flags.data, flags),
        flags.split,
        seed=flags.split_seed,
        folds=flags.folds,
        fold=flags.fold or 0,
        fraction=flags.test_fraction,
    )


def load_texts(spec: str, flags: TextFlags, files: FileFlags) -> Collection:
    """The documents that a command was asked for; what was guessed or fetched on the way goes to stderr.

    Args:
        spec: a name or a path.
        flags: how to read documents.
        files: of which form, separator, header and encoding are those of a plain file of documents.

    Raises:
        ConfigError: no such language.
        DataError: data that cannot be used.
    """
    from app.bundle import LANGUAGES  # noqa: PLC0415 - heavy
    from training.data import TextOptions, load_collection  # noqa: PLC0415 - heavy

    if flags.language is not None and flags.language not in LANGUAGES:
        raise ConfigError(f"--language {flags.language}: unknown; there are {', '.join(LANGUAGES)}")
    options = TextOptions(
        language=cast("Language | None", flags.language),
        id_column=flags.id_column,
        title_column=flags.title_column,
        text_column=flags.text_column,
        form=_documents_form(files.format),
        separator=unescaped(files.separator),
        header=files.header,
        encoding=files.encoding,
        queries=flags.queries,
        qrels=flags.qrels,
        min_grade=flags.min_grade,
        keep_empty=flags.keep_empty,
    )
    with log_to_stderr():
        return load_collection(spec, options)


def _documents_form(form: str | None) -> Literal["csv", "tsv", "parquet"] | None:
    if form == "lists":
        raise ConfigError("--format lists: a line for each user holds no documents; expected csv, tsv or parquet")
    return cast("Literal['csv', 'tsv', 'parquet'] | None", form)


def load_text_splits(flags: DataFlags, texts: TextFlags) -> list[TextSplit]:
    """The documents that a command was asked for, their queries cut in training and test part; all folds, or the one asked for.

    Raises:
        DataError: data that cannot be used, or that do not allow the split.
        ConfigError: impossible settings.
    """
    from training.data import make_text_splits  # noqa: PLC0415 - heavy

    return make_text_splits(
        load_texts(flags.data, texts, flags),
        flags.split,
        seed=flags.split_seed,
        folds=flags.folds,
        fold=flags.fold,
        fraction=flags.test_fraction,
    )


def load_candidates(spec: str) -> FeatureData:
    """The candidates with features that a command was asked for.

    Raises:
        DataError: data that cannot be used.
    """
    from training.data import load_features  # noqa: PLC0415 - heavy

    with log_to_stderr():
        return load_features(spec)


def load_feature_splits(flags: DataFlags) -> list[FeatureSplit]:
    """The candidates with features that a command was asked for, their queries cut in three; all folds, or the one asked for.

    Raises:
        DataError: data that cannot be used, or that do not allow the split.
        ConfigError: impossible settings.
    """
    from training.data import make_feature_splits  # noqa: PLC0415 - heavy

    return make_feature_splits(
        load_candidates(flags.data), flags.split, seed=flags.split_seed, folds=flags.folds, fold=flags.fold
    )


def default_run_dir(ranker: str, data: str, split: str, seed: int) -> Path:
    """Where a training keeps its checkpoints and curves unless it is told otherwise."""
    return Path("runs") / f"{ranker}-{plain(data)}-{split}-{seed}"


def plain(name: str) -> str:
    """A name of anything as a part of a file's name."""
    return "".join(character if character.isalnum() or character in "-_." else "-" for character in name)


@contextmanager
def needs_training_extra() -> Iterator[None]:
    """Say which extra to install where a library of training is missing.

    Raises:
        MissingExtra: a module of another distribution cannot be found.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"app", "training"}:
            raise  # a mistake of ours
        raise MissingExtra(
            f"this command needs {error.name}, which is not installed; it comes with the extra: pip install 'irgan[train]'"
        ) from error


@contextmanager
def log_to_stderr(name: str = "training.data") -> Iterator[None]:
    """Show what a logger and those below it log, down to information, while the block runs; as the service does where a form is asked for."""
    logger = logging.getLogger(name)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    form = os.environ.get("IRGAN_LOG_FORMAT")
    if form in {"json", "text"}:
        from app.telemetry import JsonLines, OneLine  # noqa: PLC0415 - only where one is asked for

        handler.setFormatter(JsonLines() if form == "json" else OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
