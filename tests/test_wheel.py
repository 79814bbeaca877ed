"""What is shipped is the wheel: built, installed in an empty environment, and put to the main job from another folder."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
SPEC = (CHECKOUT / "examples" / "ecommerce-backend.yaml").read_text()


def uv() -> str:
    """The uv that prepared this checkout."""
    found = os.environ.get("UV") or shutil.which("uv")
    return found or str(CHECKOUT / ".tools" / "uv" / "bin" / "uv")


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**_environment(), **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _environment() -> dict[str, str]:
    hidden = ("INNOMINATUS_", "PYTHON", "VIRTUAL_ENV", "COVERAGE")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment that holds the wheel and its locked dependencies, nothing else."""
    place = tmp_path_factory.mktemp("wheel")
    build = [uv(), "build", "--wheel", "--quiet", "--out-dir", str(place), str(CHECKOUT)]
    run(*build, cwd=place)
    wheel = next(place.glob("*.whl"))
    locked = ("--frozen", "--no-dev", "--extra", "local", "--no-emit-project", "--no-hashes", "--quiet")
    run(uv(), "export", *locked, "--output-file", place / "requirements.txt", cwd=CHECKOUT)
    run(uv(), "venv", "--quiet", "--python", sys.executable, place / "env", cwd=place)
    python = place / "env" / "bin" / "python"
    install = (uv(), "pip", "install", "--quiet", "--no-deps", "--python", python)
    run(*install, "-r", place / "requirements.txt", cwd=place)
    run(*install, wheel, cwd=place)
    return place / "env" / "bin"


@pytest.fixture
def served(installed: Path, tmp_path: Path) -> Iterator[Path]:
    """The data directory of a server of the installed programs."""
    data = tmp_path / "data"
    command = [str(installed / "innominatus"), "serve", "--port", "0", "--data-dir", str(data)]
    log = (tmp_path / "serve.log").open("w")
    process = subprocess.Popen(command, cwd=tmp_path, env=_environment(), stdout=subprocess.PIPE, stderr=log, text=True)
    log.close()
    assert process.stdout is not None
    timer = threading.Timer(30, process.kill)
    timer.start()
    greeting = "".join(iter(process.stdout.readline, "  stop   Ctrl-C\n"))
    timer.cancel()
    assert "serves" in greeting, (tmp_path / "serve.log").read_text()
    yield data
    process.terminate()
    code = process.wait(30)
    process.stdout.close()
    run(installed / "innominatus", "local", "purge", "--yes", "--data-dir", str(data), cwd=tmp_path)
    assert code == 0


def test_the_installed_wheel_deploys_resolves_and_deletes_from_any_folder(
    installed: Path, served: Path, tmp_path: Path
) -> None:
    spec = tmp_path / "score.yaml"
    spec.write_text(SPEC)
    env = {"INNOMINATUS_DATA_DIR": str(served)}
    ctl = installed / "innominatus-ctl"
    assert "is active." in run(ctl, "deploy", spec, "-w", cwd=tmp_path, env=env)
    variables = run(ctl, "env", "ecommerce-backend", "--reveal", cwd=tmp_path, env=env)
    url = next(line for line in variables.splitlines() if line.startswith("DATABASE_URL=")).partition("=")[2]
    query = f"import psycopg; print(psycopg.connect({url!r}).execute('select 41 + 1').fetchone()[0])"
    assert run(installed / "python", "-c", query, cwd=tmp_path).strip() == "42"
    assert "Deleted" in run(ctl, "delete", "ecommerce-backend", "--yes", "-w", cwd=tmp_path, env=env)
    imported = run(installed / "python", "-c", "import cli.ctl; print(cli.ctl.__file__)", cwd=tmp_path)
    assert imported.startswith(str(installed.parent))
