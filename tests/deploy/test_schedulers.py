"""docs/deploy: units of systemd, a line for cron and manifests for Kubernetes name what exists, and take exit codes for what they are."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.deploy.dockerfile import ROOT, read_dockerfile
from tests.deploy.product import assert_command_exists, assert_variables_exist, irgan_commands, routes
from training.jobs.retrain import Places, plan_of, read_retrain_config

DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
ANSWERS = {10: 0, 12: 0, 0: 0}
"""Exit codes of a retraining that are no failures."""
FINAL = {2, 3, 11}
"""Those that another try would not change."""
OTHERS = {1, 130}


def unit(name: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "systemd" / name)
    return {section: dict(parser[section]) for section in parser.sections()}


def codes(text: str) -> set[int]:
    return {int(code) for code in text.split()}


@pytest.mark.parametrize("name", ["irgan.service", "irgan-retrain.service"])
def test_units_start_what_exists_with_settings_that_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = unit(name)["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert Path(program).name == "irgan"
    assert_command_exists(words)
    settings = dict(pair.split("=", 1) for pair in service["Environment"].split())
    assert_variables_exist(set(settings) - {"MPLCONFIGDIR"})
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    told = Settings()
    assert told.host == "127.0.0.1"
    assert str(told.releases).startswith(service["WorkingDirectory"]) and service["WorkingDirectory"] in told.store
    assert service["User"] == "irgan" and service["NoNewPrivileges"] == "yes" and service["ProtectSystem"] == "strict"


def test_both_units_and_cron_work_on_the_same_releases_and_store() -> None:
    places = [
        re.findall(r"IRGAN_(?:RELEASES|STORE)=\S+", path.read_text())
        for path in (*(DEPLOY / "systemd").glob("*.service"), DEPLOY / "irgan.cron")
    ]
    assert len(places[0]) == 2
    assert places[0] == places[1] == places[2]


def test_files_that_the_page_copies_are_there() -> None:
    told = re.findall(r"(?<!\S)docs/[\w./*-]*[\w*]", (DEPLOY / "README.md").read_text())
    assert told
    assert all(list(ROOT.glob(path)) for path in told), told


def test_what_the_units_retrain_is_kept_where_they_may_write() -> None:
    config = read_retrain_config(DEPLOY / "retrain.toml")
    assert config.run.folder.parent == Path(unit("irgan-retrain.service")["Service"]["WorkingDirectory"])


def test_each_scheduler_deletes_old_releases_and_is_no_failure_where_that_is_one() -> None:
    post = unit("irgan-retrain.service")["Service"]["ExecStartPost"]
    assert post.startswith("-")
    (container,) = pods()["training"]["containers"]
    texts = post[1:], (DEPLOY / "irgan.cron").read_text(), container["args"][0], (DEPLOY / "README.md").read_text()
    for text in texts[:3]:
        (found,) = [words for words in irgan_commands(text) if words[0] == "releases"]
        assert_command_exists(found)
        assert found == ["releases", "prune", "--keep", "14"]
    assert " ".join(found) in texts[3]
    assert f"irgan {' '.join(found)} >&2 || true" in texts[2]


def test_systemd_knows_which_ends_are_no_failures_and_which_no_try_would_change() -> None:
    service, timer = unit("irgan-retrain.service")["Service"], unit("irgan-retrain.timer")
    assert codes(service["SuccessExitStatus"]) == {10, 12, 130}
    assert codes(service["RestartPreventExitStatus"]) == FINAL
    assert service["Restart"] == "on-failure"
    assert timer["Timer"]["Persistent"] == "true"
    assert codes(unit("irgan.service")["Service"]["RestartPreventExitStatus"]) == {2, 4}


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    """With a program that exists here in the place of the installed one."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/irgan/bin/irgan", "/bin/true"))
    command = ["systemd-analyze", "verify", *sorted(tmp_path.iterdir())]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert [path.name for path in UNITS] == ["irgan-retrain.service", "irgan-retrain.timer", "irgan.service"]
    assert (told.returncode, told.stderr) == (0, "")


def fake_irgan(folder: Path, script: str) -> None:
    (folder / "irgan").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "irgan").chmod(0o755)


@pytest.mark.parametrize("code", [0, 10, 12, 2, 3, 11, 1, 130])
def test_cron_mails_when_a_person_is_needed(code: int, tmp_path: Path) -> None:
    """The line is executed, with a program that ends as told; what it prints is what cron mails."""
    line = (DEPLOY / "irgan.cron").read_text().splitlines()[-1]
    schedule, command = line.split(" irgan ", 1)
    assert len(schedule.split()) == 5
    assert "%" not in command  # cron would end the line there
    fake_irgan(tmp_path, f"echo said; exit {code}")
    here = (
        command.replace("/opt/irgan/bin/", f"{tmp_path}/")
        .replace("/var/lib/irgan", str(tmp_path))
        .replace("/var/log/irgan", str(tmp_path))
    )
    told = subprocess.run(["sh", "-c", here], capture_output=True, text=True, check=False, timeout=20)
    assert told.stdout == ("" if code in ANSWERS else f"irgan retrain ended with {code}\nsaid\n")
    assert (tmp_path / "retrain.log").read_text() == "said\n"


def test_cron_starts_a_command_that_exists_with_settings_that_exist() -> None:
    text = (DEPLOY / "irgan.cron").read_text()
    assert_variables_exist(re.findall(r"^(IRGAN_\w+)=", text, re.MULTILINE))
    found = irgan_commands(text.splitlines()[-1].split(" irgan ", 1)[1].replace(" >>", "\n"))
    assert found == [["retrain", "/etc/irgan/retrain.toml"]]
    assert_command_exists(found[0])


def objects() -> dict[tuple[str, str], dict[str, Any]]:
    """All objects of Kubernetes by kind and name."""
    documents = [document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    return {(found["kind"], found.get("metadata", {}).get("name", "")): found for found in documents}


def pods() -> dict[str, dict[str, Any]]:
    found = objects()
    return {
        "app": found["Deployment", "irgan"]["spec"]["template"]["spec"],
        "training": found["CronJob", "irgan-retrain"]["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    }


def kustomization() -> dict[str, Any]:
    return objects()["Kustomization", ""]


def test_all_manifests_are_applied() -> None:
    assert {path.name for path in MANIFESTS} == {"kustomization.yaml", *kustomization()["resources"]}
    kinds = {kind for kind, _ in objects()}
    assert kinds >= {"Deployment", "Service", "HorizontalPodAutoscaler", "CronJob", "PersistentVolumeClaim", "Secret"}


@pytest.mark.parametrize("image", ["app", "training"])
def test_pods_have_few_rights_and_what_they_ask_for(image: str) -> None:
    """The user is that of the image."""
    pod = pods()[image]
    (container,) = pod["containers"]
    user = int(read_dockerfile(ROOT / "docker" / f"{image}.Dockerfile")[-1].last("USER"))
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == user
    assert pod["automountServiceAccountToken"] is False
    allowed = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert container["securityContext"] == allowed
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert container["image"] == f"irgan-{image}"
    assert container["image"] in {renamed["name"] for renamed in kustomization()["images"]}


@pytest.mark.parametrize("image", ["app", "training"])
def test_pods_mount_what_is_claimed_where_the_image_keeps_it(image: str) -> None:
    pod = pods()[image]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert set(mounts.values()) == set(volumes)
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values() if "persistentVolumeClaim" in volume}
    assert claims <= {name for kind, name in objects() if kind == "PersistentVolumeClaim"}
    kept = read_dockerfile(ROOT / "docker" / f"{image}.Dockerfile")[-1].listed("VOLUME")
    assert set(mounts) <= {*kept, "/tmp", "/config"}


def test_settings_of_pods_exist_and_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service starts by them: PostgreSQL, and no leave to answer without keys."""
    literals = dict(pair.split("=", 1) for pair in kustomization()["configMapGenerator"][0]["literals"])
    secret = objects()["Secret", "irgan"]["stringData"]
    assert_variables_exist([*literals, *secret])
    image = read_dockerfile(ROOT / "docker" / "app.Dockerfile")[-1].environment()
    for name, value in (image | literals | secret).items():
        if name.startswith("IRGAN_"):
            monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.store.startswith("postgresql://") and not settings.insecure
    references = {
        next(iter(source)): next(iter(source.values()))["name"]
        for pod in pods().values()
        for source in pod["containers"][0]["envFrom"]
    }
    assert references == {"configMapRef": kustomization()["configMapGenerator"][0]["name"], "secretRef": "irgan"}


def test_probes_and_the_service_lead_to_what_answers() -> None:
    """Being alive and being ready are different questions."""
    (container,) = pods()["app"]["containers"]
    assert_command_exists(container["args"])
    (port,) = container["ports"]
    assert str(port["containerPort"]) == read_dockerfile(ROOT / "docker" / "app.Dockerfile")[-1].last("EXPOSE")
    paths = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert set(paths.values()) <= routes()
    assert paths["livenessProbe"] == "/health/live" and paths["readinessProbe"] == "/health/ready"
    assert all(container[name]["httpGet"]["port"] == port["name"] for name in paths)
    found = objects()
    service, deployment = found["Service", "irgan"]["spec"], found["Deployment", "irgan"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["ports"][0]["targetPort"] == port["name"]
    assert service["selector"] == deployment["spec"]["selector"]["matchLabels"] == labels
    scaled = found["HorizontalPodAutoscaler", "irgan"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"], scaled["apiVersion"]) == ("Deployment", "irgan", deployment["apiVersion"])
    assert "replicas" not in deployment["spec"]  # else each apply would undo the autoscaler
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"]) and annotations["prometheus.io/path"] in routes()


@pytest.mark.parametrize("code", [0, 10, 12, 2, 3, 11, 1, 130])
def test_a_job_of_kubernetes_fails_only_where_a_retraining_did(code: int, tmp_path: Path) -> None:
    """The container's script is executed; what it ends with is what the policy for failures is about."""
    fake_irgan(tmp_path, f'test "$*" = "retrain /config/retrain.toml --json" && exit {code}')
    (container,) = pods()["training"]["containers"]
    told = subprocess.run(
        [*container["command"], *container["args"]], env={"PATH": f"{tmp_path}:/bin:/usr/bin"}, check=False, timeout=20
    )
    assert told.returncode == ANSWERS.get(code, code)
    job = objects()["CronJob", "irgan-retrain"]["spec"]["jobTemplate"]["spec"]
    rules = {rule["action"]: rule for rule in job["podFailurePolicy"]["rules"]}
    assert set(rules["FailJob"]["onExitCodes"]["values"]) == FINAL
    assert rules["FailJob"]["onExitCodes"]["containerName"] == container["name"]
    assert pods()["training"]["restartPolicy"] == "Never"  # without it Kubernetes refuses the policy
    assert not OTHERS & FINAL and job["backoffLimit"] > 0


def test_a_pod_that_is_told_to_end_lets_the_retraining_keep_its_checkpoint(tmp_path: Path) -> None:
    """The script passes SIGTERM on, waits for the end, and ends with its code."""
    program = (
        "import signal,sys,time; signal.signal(15, lambda *_: (time.sleep(0.5), print('kept', flush=True), sys.exit(130)))"
    )
    fake_irgan(tmp_path, f"exec {sys.executable} -c \"{program}; print('begun', flush=True); time.sleep(9)\"")
    (container,) = pods()["training"]["containers"]
    with subprocess.Popen(
        [*container["command"], *container["args"]],
        env={"PATH": f"{tmp_path}:/bin:/usr/bin"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "kept\n"
        assert process.wait(20) == 130


def test_the_retraining_of_the_cron_job_has_a_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = read_retrain_config(DEPLOY / "kubernetes" / "retrain.toml")
    environment = {"IRGAN_RELEASES": str(tmp_path / "releases"), "IRGAN_STORE": "postgresql://irgan@postgres.example.com/irgan"}
    plan = plan_of(config, Places.of(config, environment))
    assert [step["ranker"] for step in plan["train"]] == ["ease", "irgan-history", "cf-nade"]
    mounts = [mount["mountPath"] for mount in pods()["training"]["containers"][0]["volumeMounts"]]
    assert str(config.run.folder.parent) in mounts


def test_kustomize_puts_it_together() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    told = subprocess.run(
        ["kubectl", "kustomize", DEPLOY / "kubernetes"], capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 0, told.stderr
    made = list(yaml.safe_load_all(told.stdout))
    assert {found["metadata"]["namespace"] for found in made} == {"irgan"}
    images = set(re.findall(r"image: (\S+)", told.stdout))
    assert images == {f"{one['newName']}:{one['newTag']}" for one in kustomization()["images"]}


def test_the_page_advises_commands_that_exist() -> None:
    """Those of `irgan`, in its blocks and in its lines."""
    page = (DEPLOY / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    text = re.sub(r" {3,}#.*", "", page)
    found = irgan_commands(text)
    assert ["keys", "create", "shop", "--role", "read"] in found
    for words in found:
        if words[0] in {"keys", "retrain", "serve", "publish", "rollback"}:
            assert_command_exists(words)
    inside = re.findall(r" (?:run --rm app|--) +(keys [^\n]+)", text)
    assert len(inside) == 2
    for command in inside:
        assert_command_exists(shlex.split(command))


def test_the_page_names_versions_of_the_product() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert {one["newTag"] for one in kustomization()["images"]} == {version[1]}
