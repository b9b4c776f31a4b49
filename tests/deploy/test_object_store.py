"""docs/deploy/kubernetes-object-store: what it changes is there, and what it sets is read by somebody."""

from __future__ import annotations

from typing import Any

import yaml

from app.settings import Settings
from tests.deploy.dockerfile import ROOT
from tests.deploy.product import assert_variables_exist

DEPLOY = ROOT / "docs" / "deploy"


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]
    while "template" in spec or "jobTemplate" in spec:
        spec = (spec.get("jobTemplate") or spec["template"])["spec"]
    return spec


def test_the_variant_changes_what_is_there_and_sets_what_is_read(monkeypatch) -> None:
    base = {
        (found["kind"], found["metadata"]["name"]): found
        for path in (DEPLOY / "kubernetes").glob("*.yaml")
        for found in yaml.safe_load_all(path.read_text())
        if found and "metadata" in found
    }
    variant = yaml.safe_load((DEPLOY / "kubernetes-object-store" / "kustomization.yaml").read_text())
    assert variant["resources"] == ["../kubernetes"]
    (config,) = variant["configMapGenerator"]
    values = dict(pair.split("=", 1) for pair in config["literals"])
    assert_variables_exist(name for name in values if not name.startswith("AWS_"))
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    told = Settings()
    assert isinstance(told.releases, str) and told.releases.startswith("s3://")
    targets = [(patch["target"]["kind"], patch["target"]["name"]) for patch in variant["patches"]]
    assert targets == [("Deployment", "irgan"), ("CronJob", "irgan-retrain"), ("PersistentVolumeClaim", "releases")]
    for target, patch in zip(targets[:2], variant["patches"], strict=False):
        (volume,) = pod_of(yaml.safe_load(patch["patch"]))["volumes"]
        assert volume["name"] in [one["name"] for one in pod_of(base[target])["volumes"]]
        (container,) = pod_of(base[target])["containers"]
        paths = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert paths[volume["name"]] == str(told.releases_cache)
    assert targets[2] in base
