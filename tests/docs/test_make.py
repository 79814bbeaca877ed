"""What make says."""

import subprocess
from pathlib import Path

from tests.support.console import CHECKOUT
from tests.support.served import clean_environment


def test_an_environment_that_is_ready_says_so(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "uv.lock", ".venv/.ready"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    command = ["make", "-f", str(CHECKOUT / "Makefile"), "-C", str(tmp_path), "--no-print-directory", "env", "UV=uv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment())
    (line,) = done.stdout.splitlines()
    assert "is ready" in line
    assert ". .venv/bin/activate" in line
