"""docker-compose.yml: what it starts exists, nothing is offered to the network, and it works without any setting."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.deploy.dockerfile import ROOT, read_dockerfile
from tests.deploy.product import assert_command_exists, assert_variables_exist, irgan_commands, routes
from training.jobs.retrain import Places, plan_of, read_retrain_config

FILE = ROOT / "docker-compose.yml"
CUDA = ROOT / "docker" / "compose.cuda.yml"


def services() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]


def by_default(value: str) -> str:
    """What compose makes of `${NAME:-default}` where nothing is set."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", value)


def compose() -> list[str]:
    """The command, where there is one; reading a file needs no engine."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("neither `docker compose` nor `docker-compose` is installed")


def test_the_service_alone_starts_by_default() -> None:
    """Everything else is asked for by a profile; nothing it depends on has to be there."""
    found = services()
    assert [name for name, service in found.items() if "profiles" not in service] == ["app"]
    assert sorted(found) == ["app", "grafana", "postgres", "prometheus", "retrain"]
    assert all(not needed["required"] for needed in found["app"]["depends_on"].values())


def test_ports_are_this_machine_s_alone_and_the_database_has_none() -> None:
    """The loopback address, for without a key everybody who reaches the service is answered."""
    found = services()
    ports = [port for service in found.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in found["postgres"]


def test_what_is_written_here_runs_with_few_rights() -> None:
    for name, service in services().items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    for name in ("app", "retrain"):
        service = services()[name]
        assert service["read_only"] and service["tmpfs"] == ["/tmp"]


def test_images_are_built_here_or_pinned() -> None:
    for name, service in services().items():
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()
        else:
            assert re.fullmatch(r"[\w/]+:v?\d+\.\d+[\w.-]*", service["image"]), name


def test_build_arguments_are_those_of_the_dockerfile() -> None:
    """With the same defaults; the file for GPUs changes the same."""
    told = services()["retrain"]["build"]["args"]
    declared = [value for stage in read_dockerfile(ROOT / "docker" / "training.Dockerfile") for value in stage.all("ARG")]
    assert {f"{name}={by_default(value)}" for name, value in told.items()} == set(declared)
    assert set(yaml.safe_load(CUDA.read_text())["services"]["retrain"]["build"]["args"]) == set(told)


def test_settings_exist_and_their_defaults_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service would start by them: it listens to other containers, and says that it may answer without keys."""
    image = read_dockerfile(ROOT / "docker" / "app.Dockerfile")[-1].environment()
    told = {name: by_default(value) for name, value in services()["app"]["environment"].items() if name != "<<"}
    assert_variables_exist(told)
    for name, value in (image | told).items():
        if name.startswith("IRGAN_"):
            monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.host, settings.insecure, settings.open_metrics) == ("0.0.0.0", True, True)
    assert settings.store == "sqlite:////store/irgan.db"


def test_volumes_are_declared_and_files_exist() -> None:
    """A named volume goes to a folder that the image keeps for one."""
    declared = set(yaml.safe_load(FILE.read_text(encoding="utf-8"))["volumes"])
    used = set()
    for service in services().values():
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
            else:
                used.add(source)
                if "build" in service:
                    assert target in read_dockerfile(ROOT / service["build"]["dockerfile"])[-1].listed("VOLUME")
    assert used == declared


def test_commands_exist() -> None:
    """Those that services start, and those that the head of the file advises."""
    started = [service["command"] for service in services().values() if service.get("command", [""])[0] == "retrain"]
    assert len(started) == 1
    assert_command_exists([by_default(word) for word in started[0]])
    advised = irgan_commands(re.sub(r" {3,}.*", "", FILE.read_text(encoding="utf-8")))
    assert ["keys", "create", "shop", "--role", "read"] in advised
    for words in advised:
        assert_command_exists(words)


def test_the_retraining_that_is_started_has_a_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its file is read as the job reads it; what it names is in the container's volumes."""
    monkeypatch.chdir(tmp_path)
    config = read_retrain_config(ROOT / "docker" / "retrain.toml")
    image = read_dockerfile(ROOT / "docker" / "training.Dockerfile")[-1]
    assert str(config.run.folder.parent) in image.listed("VOLUME")
    environment = image.environment() | {"IRGAN_RELEASES": str(tmp_path / "releases")}
    plan = plan_of(config, Places.of(config, environment))
    assert [step["ranker"] for step in plan["train"]] == ["ease", "cf-nade"]
    assert list(tmp_path.iterdir()) == []


def test_prometheus_asks_the_service_where_it_answers() -> None:
    config = yaml.safe_load((ROOT / "docker" / "prometheus.yml").read_text())
    job = config["scrape_configs"][0]
    port = read_dockerfile(ROOT / "docker" / "app.Dockerfile")[-1].last("EXPOSE")
    assert job["static_configs"] == [{"targets": [f"app:{port}"]}]
    assert job.get("metrics_path", "/metrics") in routes()


def test_grafana_finds_prometheus_and_its_dashboard() -> None:
    provisioning = ROOT / "docker" / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    provider = yaml.safe_load((provisioning / "dashboards" / "irgan.yml").read_text())["providers"][0]
    grafana = services()["grafana"]
    mounted = {volume.split(":")[1] for volume in grafana["volumes"]}
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert source["url"] == "http://prometheus:9090"
    assert home in mounted and Path(home).parent == Path(provider["options"]["path"])
    dashboard = json.loads((ROOT / "docker" / "grafana" / "dashboard.json").read_text())
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel} == {source["uid"]}


@pytest.mark.parametrize(
    ("files", "settings"),
    [
        ([FILE], {}),
        ([FILE], {"POSTGRES_PASSWORD": "secret", "IRGAN_STORE": "postgresql://irgan@postgres/irgan"}),
        ([FILE, CUDA], {}),
    ],
    ids=["as it is", "postgres", "cuda"],
)
def test_compose_reads_it_with_all_profiles(files: list[Path], settings: dict[str, str]) -> None:
    """`docker compose config`, which says what it would start."""
    options = [word for file in files for word in ("--file", str(file))]
    command = [*compose(), "--project-directory", str(ROOT), *options, "--profile", "*", "config", "--format", "json"]
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("IRGAN_", "COMPOSE_"))}
    told = subprocess.run(command, env=mine | settings, capture_output=True, text=True, check=False, timeout=60)
    assert (told.returncode, told.stderr) == (0, "")
    read = json.loads(told.stdout)["services"]
    assert set(read) == set(services())
    for name in ("app", "retrain"):
        assert read[name]["environment"]["IRGAN_STORE"] == settings.get("IRGAN_STORE", "sqlite:////store/irgan.db")
    assert ("deploy" in read["retrain"]) == (CUDA in files)
