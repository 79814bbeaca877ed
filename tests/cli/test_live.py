"""What `serve.json` says when several processes serve one PostgreSQL from the same data directory."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import live

URL = "http://127.0.0.1:1"


@pytest.fixture
def other() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def _listens(data_dir: Path, pid: int) -> None:
    (data_dir / "serve.json").write_text(json.dumps({"pid": pid, "url": "http://other"}))


def test_who_still_listens_is_found_again_when_a_later_one_has_gone(
    tmp_path: Path, other: "subprocess.Popen[bytes]"
) -> None:
    _listens(tmp_path, other.pid)
    before = live.announce(tmp_path, URL)
    assert live.find(tmp_path) == live.Live(os.getpid(), URL)
    live.withdraw(tmp_path, before=before)
    assert live.find(tmp_path) == live.Live(other.pid, "http://other")


def test_one_that_has_gone_meanwhile_is_not(tmp_path: Path, other: "subprocess.Popen[bytes]") -> None:
    _listens(tmp_path, other.pid)
    before = live.announce(tmp_path, URL)
    other.kill()
    other.wait(20)
    live.withdraw(tmp_path, before=before)
    assert live.find(tmp_path) is None
    assert not (tmp_path / "serve.json").exists()


def test_what_a_later_one_announced_stays(tmp_path: Path, other: "subprocess.Popen[bytes]") -> None:
    live.announce(tmp_path, URL)
    _listens(tmp_path, other.pid)
    live.withdraw(tmp_path)
    assert live.find(tmp_path) == live.Live(other.pid, "http://other")
