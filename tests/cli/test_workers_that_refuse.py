"""`innominatus worker --processes N` where none of them can work."""

import os
import subprocess
import sys
from pathlib import Path


def test_processes_that_all_refuse_to_work_end_as_one_would(tmp_path: Path) -> None:
    """Whoever looks after them, or reads the exit code, is to see it: another start helps nobody."""
    environment = {
        "PATH": os.environ["PATH"],
        "INNOMINATUS_DATA_DIR": str(tmp_path),
        "INNOMINATUS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    }
    command = [sys.executable, "-m", "cli.server", "worker", "--processes", "2"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 5, ended.stderr
    assert ended.stderr.count("INNOMINATUS_SECRET_KEY is not set") == 2
