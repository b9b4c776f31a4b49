"""Alerts ask for metrics and labels that the service has, Prometheus reads them, and the page on operations explains them all."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dockerfile import ROOT
from tests.deploy.exposition import families, samples
from tests.deploy.test_compose import services

FILE = ROOT / "docker" / "alerts.yml"
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
OWN = {"job", "instance", "le"}
"""Labels that Prometheus adds, or histograms have."""


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def test_every_metric_and_label_of_an_alert_exists(tmp_path: Path) -> None:
    """An alert on a metric that nobody exposes never fires, which looks like all is well."""
    exposed, seen = samples(tmp_path) | {"up": set()}, set()
    for rule in rules():
        expression = rule["expr"]
        named = re.findall(r"\b(?:up|(?:irgan|process)_[a-z_]+)\b", expression)
        assert named and set(named) <= set(exposed), rule["alert"]
        seen |= set(named)
        possible = set().union(*(exposed[name] for name in named)) | OWN
        grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
        matched = re.findall(r"(\w+)(?:=|!=|=~|!~)\"", expression)
        told = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
        assert {label.strip() for group in grouped for label in group.split(",")} | set(matched) | set(told) <= possible, rule[
            "alert"
        ]
    assert len(seen) >= 15


def test_what_a_summary_names_is_left_by_the_expression() -> None:
    """A sum has only the labels that it is by."""
    for rule in rules():
        kept = re.search(r"(?:sum|min|max) by \(([^)]*)\)", rule["expr"])
        told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        if kept is not None:
            assert told <= {label.strip() for label in kept[1].split(",")}, rule["alert"]
        elif re.match(r"sum\(|histogram", rule["expr"]):
            assert not told, rule["alert"]


def test_alerts_have_names_of_their_own_and_say_how_soon_to_look() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 15
    assert {rule["labels"]["severity"] for rule in rules()} == {"page", "ticket"}
    assert all(name.startswith("Irgan") for name in names)


def test_prometheus_is_given_the_alerts() -> None:
    config = yaml.safe_load((ROOT / "docker" / "prometheus.yml").read_text(encoding="utf-8"))
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in services()["prometheus"]["volumes"]}
    (file,) = config["rule_files"]
    assert mounted[file] == "./docker/alerts.yml"


def test_prometheus_understands_the_alerts() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; it comes with Prometheus")
    told = subprocess.run([promtool, "check", "rules", FILE], capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 0, told.stderr


def test_the_page_on_operations_explains_every_alert_and_no_others() -> None:
    described = re.findall(r"^\| `(Irgan\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(described) == sorted(rule["alert"] for rule in rules())


def test_the_page_on_operations_explains_every_metric_and_no_others(tmp_path: Path) -> None:
    """In the first column of its tables, with the labels that it has."""
    described = dict(re.findall(r"^\| `((?:irgan)_\w+)(?:\{([^}]*)\})?` \|", PAGE, re.MULTILINE))
    wanted = families(tmp_path)
    assert len(wanted) >= 24
    assert set(described) == wanted
    labels = samples(tmp_path)
    for name, told in described.items():
        of_samples = labels[name] | labels.get(f"{name}_sum", set())
        assert set(filter(None, told.split(","))) == of_samples - {"le"}, name
