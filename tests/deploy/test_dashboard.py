"""The dashboard asks for metrics and labels that the service has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.dockerfile import ROOT
from tests.deploy.exposition import samples

PROMETHEUS_OWN = {"job", "instance", "le"}
"""Labels that Prometheus adds, or histograms have."""


def expressions() -> list[str]:
    dashboard = json.loads((ROOT / "docker" / "grafana" / "dashboard.json").read_text())
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    annotations = [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    variables = [variable["query"] for variable in dashboard["templating"]["list"]]
    return targets + annotations + variables


@pytest.fixture
def exposed(tmp_path: Path) -> dict[str, set[str]]:
    """The samples of a service to which everything has happened once, each with its labels."""
    return samples(tmp_path)


def test_metrics_and_labels_exist(exposed: dict[str, set[str]]) -> None:
    """A panel of a metric that nobody exposes is empty, which looks like all is well."""
    seen = set()
    for expression in expressions():
        named = re.findall(r"\b(?:irgan|process)_\w+", expression)
        assert named, expression
        for name in named:
            assert name in exposed, name
        seen |= set(named)
        possible = set().union(*(exposed[name] for name in named)) | PROMETHEUS_OWN
        grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
        matched = re.findall(r"(\w+)(?:=|!=|=~|!~)\"", expression)
        assert {label.strip() for group in grouped for label in group.split(",")} | set(matched) <= possible, expression
    assert len(seen) >= 15


def test_what_can_go_wrong_has_a_panel(exposed: dict[str, set[str]]) -> None:
    """Every metric of the service is in some panel."""
    asked = " ".join(expressions())
    families = {name.removesuffix("_created") for name in exposed}
    stems = {re.sub(r"_(total|bucket|sum|count|info|created)$", "", name) for name in families if name.startswith("irgan_")}
    assert len(stems) >= 14
    assert {stem for stem in stems if stem not in asked} == set()


def test_panels_do_not_overlap_and_say_what_they_are() -> None:
    panels = json.loads((ROOT / "docker" / "grafana" / "dashboard.json").read_text())["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not own & cells, panel["title"]
        cells |= own
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels) >= 20


def test_prometheus_understands_the_expressions(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; it comes with Prometheus")
    asked = [expression for expression in expressions() if not expression.startswith("label_values")]
    plain = [
        expression.replace("$__rate_interval", "1m").replace("$job", "irgan").replace("$instance", ".*") for expression in asked
    ]
    rules = [{"record": f"panel_{number}", "expr": expression} for number, expression in enumerate(plain)]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    told = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 0, told.stderr
    assert f"{len(rules)} rules found" in told.stdout
