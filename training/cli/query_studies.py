"""`irgan evaluate` and `irgan compare` for rankers of search and of reranking: options, the data to judge them on, tables and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from training.cli.differences import print_differences
from training.cli.kinds import GROUP_NAMES
from training.cli.options import TextFlags, load_candidates, load_texts
from training.cli.studies import (
    RecordedDataFlags,
    figure_table,
    print_json,
    refuse_file,
    results_file,
    split_parameters,
    steps_on_stderr,
    wide_console,
)
from training.errors import ConfigError, DataError

if TYPE_CHECKING:
    from app.bundle import FeatureDataInfo, Mode, SearchBundle, TextDataInfo
    from training.data import FeatureSplit, TextSplit
    from training.evaluation.query_entrants import Judged
    from training.evaluation.query_study import QueryStudy
    from training.evaluation.significance import Method

_SHOWN = {
    "search": ("nDCG@10", "AP", "R@100", "RR", "P@1", "P@5", "P@10"),
    "rerank": ("nDCG@5", "nDCG@10", "AP", "RR", "P@5", "P@10"),
}


def kind_of_bundles(paths: Sequence[Path]) -> str:
    """What the bundles rank: `recommender`, `search` or `rerank`.

    Raises:
        BundleError: one is none.
        ConfigError: they are of several kinds.
    """
    from app.bundle import read_manifest  # noqa: PLC0415 - heavy
    from training.evaluation.entrants import bundle_folder  # noqa: PLC0415 - heavy

    kinds = {path: read_manifest(bundle_folder(_without_mode(path)[0])).kind for path in paths}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{path}: {kind}" for path, kind in kinds.items())
        raise ConfigError(f"the rankers are of different kinds ({told}); only those of one kind can be judged together")
    return next(iter(kinds.values()))


def study_bundles(
    kind: str,
    paths: Sequence[Path],
    data: RecordedDataFlags,
    texts: TextFlags,
    *,
    mode: str | None,
    metrics: Sequence[str],
    baseline: str | None,
    output: Path | None,
    depth: int | None,
    as_json: bool,
    seed: int,
    num_resamples: int,
    method: Method,
) -> None:
    """Judge rankers on the test queries of the data that they learned from, and give out what was found.

    Args:
        kind: `search` or `rerank`.
        paths: of bundles, `PATH:MODE` among them where they rank texts.
        data: where their data are, and how they were cut; what is not given is as the bundles record it.
        texts: how to read documents.
        mode: modes with commas between, `all`, or None for each bundle's usual one.
        metrics: what to compare; none makes no comparison.
        baseline: compare all others with this one.
        output: a folder for files.
        depth: how many documents of each query stand in runs.
        as_json: print an object instead of tables.
        seed: of the resamples, as are the next two.
        num_resamples: of intervals and tests.
        method: of the intervals.

    Raises:
        BundleError, ConfigError, DataError: what was given cannot be used.
    """
    from training.evaluation.query_study import check_query_metrics, study_queries  # noqa: PLC0415 - heavy
    from training.evaluation.rerank import RERANK_METRICS  # noqa: PLC0415 - heavy
    from training.evaluation.search import SEARCH_METRICS  # noqa: PLC0415 - heavy

    check_query_metrics(metrics, SEARCH_METRICS if kind == "search" else RERANK_METRICS)
    if output is not None:
        refuse_file(output)
    with steps_on_stderr() as on_step:
        on_step("asking the test queries")
        judged = _searched(paths, data, texts, mode, depth) if kind == "search" else _reranked(paths, data)
        if metrics and len(judged.entrants) < 2:
            raise ConfigError(f"{len(judged.entrants)} ranker to compare; expected at least 2, or one in several modes")
        on_step("intervals")
        study = study_queries(
            judged.entrants,
            judged.answers,
            data=judged.data,
            split=judged.split,
            parameters=judged.parameters,
            groups=judged.groups,
            metrics=metrics,
            baseline=None if baseline is None else _entrant(judged, baseline),
            seed=seed,
            num_resamples=num_resamples,
            method=method,
        )
    written = [] if output is None else _write(study, judged, output, depth)
    if as_json:
        print_json(study.as_json())
        return
    _print(study, _SHOWN[kind])
    for path in written:
        typer.echo(f"wrote {path}")


def _searched(paths: Sequence[Path], data: RecordedDataFlags, texts: TextFlags, mode: str | None, depth: int | None) -> Judged:
    from app.bundle import SearchBundle, read_bundle  # noqa: PLC0415 - heavy
    from training.evaluation.entrants import bundle_folder, named_apart  # noqa: PLC0415 - heavy
    from training.evaluation.query_entrants import check_same_data, judge_search  # noqa: PLC0415 - heavy

    asked = [(bundle_folder(path), own) for path, own in map(_without_mode, paths)]
    loaded: list[SearchBundle] = []
    for folder in dict.fromkeys(folder for folder, _ in asked):
        bundle = read_bundle(folder)
        assert isinstance(bundle, SearchBundle)
        loaded.append(bundle)
    bundles = named_apart(loaded)
    name_of = {bundle.path: name for name, bundle in bundles.items()}
    listed = _listed_modes(mode)
    wanted: list[tuple[str, Mode]] = []
    for folder, own in asked:
        model = bundles[name_of[folder]].model
        if own is not None:
            wanted.append((name_of[folder], own))
        else:  # of several modes those that it has, of one that it has not there is an error
            chosen = listed or (model.mode,)
            wanted += [(name_of[folder], each) for each in chosen if each in model.modes or len(chosen) == 1]
    check_same_data(loaded)
    recorded = loaded[0].manifest.data
    return judge_search(bundles, wanted, _text_split(recorded, data, texts), depth=depth)


def _listed_modes(mode: str | None) -> tuple[Mode, ...]:
    """What `--mode` names, in the usual order.

    Raises:
        ConfigError: no such mode, or none at all.
    """
    from app.bundle import MODES  # noqa: PLC0415 - heavy

    if mode is None:
        return ()
    given = {part.strip() for part in mode.split(",") if part.strip()}
    if given == {"all"}:
        return MODES
    if not given or given - set(MODES):
        raise ConfigError(f"--mode {mode}: expected {', '.join(MODES)} with commas between, or all")
    return tuple(each for each in MODES if each in given)


def _text_split(recorded: TextDataInfo, data: RecordedDataFlags, texts: TextFlags) -> TextSplit:
    from training.data import make_text_splits  # noqa: PLC0415 - heavy

    _must_be_there(recorded.name, data, "documents")
    texts = replace(texts, language=texts.language or recorded.language)
    collection = load_texts(data.data or recorded.name, texts, data)
    name = data.split or recorded.split.name
    parameters = split_parameters(recorded.split, data, name)
    _must_be_a_fold(name, parameters, "--split random, or with --fold N")
    return make_text_splits(collection, name, **parameters)[0]


def _reranked(paths: Sequence[Path], data: RecordedDataFlags) -> Judged:
    from app.bundle import RerankBundle, read_bundle  # noqa: PLC0415 - heavy
    from training.evaluation.entrants import bundle_folder, named_apart  # noqa: PLC0415 - heavy
    from training.evaluation.query_entrants import check_same_data, judge_rerankers  # noqa: PLC0415 - heavy

    loaded: list[RerankBundle] = []
    for path in paths:
        bundle = read_bundle(bundle_folder(path))
        assert isinstance(bundle, RerankBundle)
        loaded.append(bundle)
    bundles = named_apart(loaded)
    check_same_data(loaded)
    return judge_rerankers(bundles, _feature_split(loaded[0].manifest.data, data))


def _feature_split(recorded: FeatureDataInfo, data: RecordedDataFlags) -> FeatureSplit:
    from training.data import make_feature_splits  # noqa: PLC0415 - heavy

    _must_be_there(recorded.name, data, "features")
    candidates = load_candidates(data.data or recorded.name)
    name = data.split or recorded.split.name
    parameters = split_parameters(recorded.split, data, name)
    if "folds" in parameters:
        _must_be_a_fold("kfold", parameters, "--fold N")
    return make_feature_splits(candidates, name, **parameters)[0]


def _must_be_there(recorded: str, data: RecordedDataFlags, kind: str) -> None:
    from training.data import SOURCES  # noqa: PLC0415 - heavy

    if data.data is None and (recorded not in SOURCES or SOURCES[recorded].kind != kind):
        raise DataError(f"the rankers learned from {recorded!r}, which is no named data set; give its path with --data PATH")


def _must_be_a_fold(name: str, parameters: dict[str, Any], cure: str) -> None:
    """A ranker of all folds learned from every judgement; there is nothing left to judge it on."""
    told = f"Rankers that can be judged come from irgan train with {cure}"
    if name == "none":
        raise DataError(f"the split 'none' sets no query apart, so nothing is left to judge rankers on. {told}")
    if name == "kfold" and "fold" not in parameters:
        raise DataError(
            f"the rankers record the split {name!r} without a fold: they learned from all judgements, and nothing is left to judge "
            f"them on; what their folds reached stands in their manifests. {told}"
        )


def _without_mode(path: Path) -> tuple[Path, Mode | None]:
    """`PATH:MODE` taken apart."""
    from app.bundle import MODES  # noqa: PLC0415 - heavy

    for mode in MODES:
        if str(path).endswith(f":{mode}") and not path.exists():
            return Path(str(path).removesuffix(f":{mode}")), mode
    return path, None


def _entrant(judged: Judged, given: str) -> str:
    """Which entrant a person means by its name, or by a bundle's path with or without a mode.

    Raises:
        ConfigError: none or several.
    """
    names = [entrant.name for entrant in judged.entrants]
    if given in names:
        return given
    path, mode = _without_mode(Path(given))
    meant = [
        entrant.name
        for entrant in judged.entrants
        if mode in {None, entrant.mode}
        and (Path(entrant.bundle) in {path, path / Path(entrant.bundle).name} or str(path) == entrant.name.partition(":")[0])
    ]
    if len(meant) == 1:
        return meant[0]
    problem = "is none of the rankers" if not meant else "names several of the rankers"
    raise ConfigError(f"the baseline {given!r} {problem}; expected one of {', '.join(names)}")


def _print(study: QueryStudy, shown: tuple[str, ...]) -> None:
    """For each group of queries a table of means with intervals, a sentence for each comparison, and how the lists differ."""
    console = wide_console()
    metrics = tuple(dict.fromkeys(shown + study.metrics))
    for group, count in study.num_queries.items():
        rows = [(entrant.name, study.means(entrant, group), study.intervals[group][entrant.name]) for entrant in study.entrants]
        name = GROUP_NAMES[group]
        console.print(figure_table(f"{study.data}, split {study.split}, {name} queries ({count})", metrics, rows))
        for comparison in study.comparisons[group]:
            typer.echo(f"{name}: {comparison.sentence}")
        if study.comparisons[group]:
            typer.echo()
        print_differences(console, study.agreements[group], study.changes[group], key=name, unit="queries")


def _write(study: QueryStudy, judged: Judged, output: Path, depth: int | None) -> list[Path]:
    """Write results.json, report.html, qrels.txt and a run of each ranker; each file whole or not at all."""
    from app.bundle import write_file  # noqa: PLC0415 - heavy
    from training.evaluation.report import render_query_report  # noqa: PLC0415 - heavy
    from training.evaluation.runs import write_grades, write_rankings  # noqa: PLC0415 - heavy

    output.mkdir(parents=True, exist_ok=True)
    written = [output / "results.json", output / "report.html", output / "qrels.txt"]
    write_file(written[0], results_file(study.as_json()))
    write_file(written[1], render_query_report(study).encode())
    write_grades(written[2], *judged.judgements)
    for entrant in judged.entrants:
        stem = entrant.name.partition(":")[0]
        written.append(output / (f"{stem}.run" if entrant.mode is None else f"{stem}.{entrant.mode}.run"))
        write_rankings(
            written[-1], judged.queries, judged.documents, judged.answers.rankings[entrant.name], tag=entrant.name, depth=depth
        )
    return written
