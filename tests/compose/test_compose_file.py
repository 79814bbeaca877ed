"""docker-compose.yml: valid by the Compose specification, whole in itself, and without a password in it."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from engine.config import Settings
from tests.support import compose
from tests.support.compose import REQUIRED, make_env

OVERHEAD_SECONDS = 20
"""What an engine may take to end beyond the grace of its steps: its queue, its warden, its doors."""


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    make_env(tmp_path)
    return compose.dotenv(tmp_path / ".env")


def test_the_made_env_is_private_random_and_never_changed(tmp_path: Path) -> None:
    first = make_env(tmp_path)
    path = tmp_path / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "docker compose up" in first.stdout
    before = path.read_bytes()
    second = make_env(tmp_path)
    assert path.read_bytes() == before
    assert "stays as it is" in second.stdout
    assert [file.name for file in tmp_path.iterdir()] == [".env"]
    other = tmp_path / "other"
    other.mkdir()
    make_env(other)
    here, there = compose.dotenv(path), compose.dotenv(other / ".env")
    assert set(here) == set(REQUIRED)
    assert not set(here.values()) & set(there.values())
    assert len({*here.values()}) == len(REQUIRED)


def test_make_names_compose_env_and_it_writes_no_secret_to_the_terminal(tmp_path: Path) -> None:
    done = subprocess.run(["make", "help"], cwd=compose.CHECKOUT, capture_output=True, text=True, check=True)
    assert "make compose-env" in done.stdout
    told = make_env(tmp_path).stdout
    assert not [value for value in compose.dotenv(tmp_path / ".env").values() if value in told]


def test_it_is_valid_by_the_compose_specification(tmp_path: Path, variables: dict[str, str]) -> None:
    whole = tmp_path / "docker-compose.yml"
    whole.write_text(yaml.safe_dump(compose.read(variables)))
    program = str(Path(sys.executable).parent / "check-jsonschema")
    for file in (compose.FILE, whole):
        command = [program, "--builtin-schema", "vendor.compose-spec", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_whatever_a_service_refers_to_is_defined(variables: dict[str, str]) -> None:
    file = compose.read(variables)
    services = file["services"]
    used = {"volumes": set[str](), "networks": set[str]()}
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, f"{name} -> {other}"
            if how["condition"] == "service_healthy":
                assert services[other]["healthcheck"]["test"]
            else:
                assert (how["condition"], services[other]["restart"]) == ("service_completed_successfully", "no")
        mounts = [mount for mount in service.get("volumes", []) if isinstance(mount, str)]
        used["volumes"] |= {mount.partition(":")[0] for mount in mounts}
        used["networks"] |= set(service["networks"])
        assert not service.get("secrets")
        assert not service.get("configs")
    assert used["volumes"] == set(file["volumes"])
    assert used["networks"] == set(file["networks"])


def test_every_variable_has_a_default_or_is_made_by_compose_env() -> None:
    text = "\n".join(line.partition("#")[0] for line in compose.FILE.read_text().splitlines()).replace("$$", "")
    used = set(re.findall(r"\$\{(\w+)(:-|:\?)", text))
    assert len(re.findall(r"\$", text)) == len(re.findall(r"\$\{\w+(?::-|:\?)", text))
    assert {name for name, rule in used if rule == ":?"} == set(REQUIRED)
    template = (compose.CHECKOUT / "containers" / "compose_env.py").read_text()
    for name, _ in used:
        assert re.search(rf"^(# )?{name}=", template, re.MULTILINE), f"{name} is not explained in .env"
    assert set(re.findall(r"^(?:# )?([A-Z_]+)=", template, re.MULTILINE)) == {name for name, _ in used}


def test_the_defaults_told_in_env_are_those_of_the_file(tmp_path: Path, variables: dict[str, str]) -> None:
    told = dict(re.findall(r"^# ([A-Z_]+)=(.+)$", (tmp_path / ".env").read_text(), re.MULTILINE))
    assert told
    assert compose.read({**variables, **told}) == compose.read(variables)


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_variable_is_told_with_what_makes_it(variables: dict[str, str], missing: str) -> None:
    del variables[missing]
    with pytest.raises(compose.MissingVariable, match=rf"{missing}.*make compose-env"):
        compose.read(variables)


def test_every_setting_it_gives_exists(variables: dict[str, str]) -> None:
    known = {f"INNOMINATUS_{name.upper()}" for name in Settings.model_fields}
    for service in compose.read(variables)["services"].values():
        given = {name for name in service["environment"] if name.startswith("INNOMINATUS_")}
        assert given <= known


def test_every_service_is_hardened_restarts_and_has_a_check(variables: dict[str, str]) -> None:
    for name, service in compose.read(variables)["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])
        assert not service.get("privileged")
        assert service["user"] not in {"root", "0"} if "user" in service else "build" in service
        one_shot = service["restart"] == "no"
        assert service["healthcheck"].get("disable", False) is one_shot
        assert one_shot or service["restart"] == "unless-stopped"


def test_nothing_is_reached_from_outside_but_the_api_on_this_machine(variables: dict[str, str]) -> None:
    file = compose.read(variables)
    published = {name: service["ports"] for name, service in file["services"].items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8081:8081"]}
    assert file["networks"]["state"]["internal"] is True
    for name in ("postgres", "redis", "migrate"):
        assert file["services"][name]["networks"] == ["state"]


def test_a_stopped_worker_gets_longer_than_its_steps(variables: dict[str, str]) -> None:
    worker = compose.read(variables)["services"]["worker"]
    grace = float(worker["environment"]["INNOMINATUS_GRACE_SECONDS"])
    assert compose.seconds(worker["stop_grace_period"]) >= grace + OVERHEAD_SECONDS


def test_api_and_workers_share_keys_data_and_providers(variables: dict[str, str]) -> None:
    services = compose.read(variables)["services"]
    shared = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DATA_DIR", "PROVIDERS")
    for name in shared:
        assert len({services[who]["environment"][f"INNOMINATUS_{name}"] for who in ("api", "worker", "migrate")}) == 1
    assert services["api"]["volumes"] == services["worker"]["volumes"]
