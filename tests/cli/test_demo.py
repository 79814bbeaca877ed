"""The demo is the main job, whole."""

import subprocess
import sys
from pathlib import Path

from cli import live
from engine.config import Settings
from tests.support.served import clean_environment

_PROOFS = (
    "ecommerce-backend is active",
    "select version(): PostgreSQL",
    "a table was made",
    "SET greeting hello",
    "MCP answers with 10 tools",
    "the database has the same outputs",
    "the row from before is still there",
    "ended in reverse order: workload",
    "the database refuses its old credentials",
    "the platform and its servers have stopped",
)


def test_the_demo_observes_everything_it_promises_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.demo", "--data-dir", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        env=clean_environment(INNOMINATUS_PORT="nonsense"),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for proof in _PROOFS:
        assert f"✓ {proof}" in done.stdout
    config = done.stdout[done.stdout.index('"mcpServers"') : done.stdout.index("curl")]
    assert str(tmp_path / "demo") not in config, "it is to be kept, and the demo's folder is not"
    assert str(Settings.model_construct().data_dir) in config
    assert not (tmp_path / "demo").exists()
    assert live.find(tmp_path / "demo") is None
