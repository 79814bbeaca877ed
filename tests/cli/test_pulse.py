"""`innominatus worker --check`: whether workers are at work, told by files that they touch."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli import pulse, server
from engine.errors import Unavailable
from tests.support.served import Done, call


def checked(folder: Path, *, processes: int = 1) -> Done:
    return call(server.main, "worker", "--check", "--processes", str(processes), "--data-dir", str(folder))


def test_a_machine_without_a_worker_is_told(tmp_path: Path) -> None:
    done = checked(tmp_path)
    assert (done.code, "0 of 1 worker processes" in done.err) == (5, True)


def test_a_worker_counts_while_it_gives_signs_of_life(tmp_path: Path) -> None:
    with pulse.kept(tmp_path) as beat:
        assert checked(tmp_path).out == "1 of 1 at work\n"
        assert checked(tmp_path, processes=2).code == 5
        (file,) = (tmp_path / "workers").iterdir()
        long_ago = time.time() - 100
        os.utime(file, (long_ago, long_ago))
        silent = checked(tmp_path)
        assert (silent.code, "no sign of life for 100 s" in silent.err) == (5, True)
        beat()
        assert checked(tmp_path).code == 0
    assert checked(tmp_path).code == 5


def test_a_killed_worker_counts_no_more_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from cli import pulse\n"
        "with pulse.kept(pathlib.Path(sys.argv[1])) as beat:\n  beat(); print('up', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "up\n"
        assert pulse.check(tmp_path, processes=1)
        worker.kill()
        worker.wait(10)
    with pytest.raises(Unavailable):
        pulse.check(tmp_path, processes=1)
    with pulse.kept(tmp_path):
        assert [file.name for file in (tmp_path / "workers").iterdir()] == [f"{socket.gethostname()}.{os.getpid()}"]


def test_a_worker_of_another_container_on_the_same_data_does_not_count(tmp_path: Path) -> None:
    with pulse.kept(tmp_path):
        (file,) = (tmp_path / "workers").iterdir()
        file.rename(file.with_name("elsewhere.7"))
        with pytest.raises(Unavailable):
            pulse.check(tmp_path, processes=1)
