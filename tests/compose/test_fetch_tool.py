"""containers/fetch_tool.py: terraform and kubectl come checked or not at all, from a server that has what theirs have."""

import hashlib
import io
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.dockerfile import CHECKOUT

PROGRAM = b"#!/bin/sh\necho I am the program\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(address, folder) of a server with terraform 1.2.3 and kubectl 1.30.0."""
    folder = tmp_path / "releases"
    kubectl = folder / "release" / "v1.30.0" / "bin" / "linux" / "arm64"
    kubectl.mkdir(parents=True)
    (kubectl / "kubectl").write_bytes(PROGRAM)
    (kubectl / "kubectl.sha256").write_text(hashlib.sha256(PROGRAM).hexdigest())
    terraform = folder / "terraform" / "1.2.3"
    terraform.mkdir(parents=True)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("terraform", PROGRAM)
    (terraform / "terraform_1.2.3_linux_amd64.zip").write_bytes(packed.getvalue())
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    sums = f"{'0' * 64}  terraform_1.2.3_darwin_arm64.zip\n{digest}  terraform_1.2.3_linux_amd64.zip\n"
    (terraform / "terraform_1.2.3_SHA256SUMS").write_text(sums)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def fetch(base: str, to: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, str(CHECKOUT / "containers" / "fetch_tool.py"), *args, "--base", base, "--to", str(to)]
    return subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "asked", [("terraform", "1.2.3", "--arch", "amd64", "--sha256", ""), ("kubectl", "v1.30.0", "--arch", "arm64")]
)
def test_a_program_whose_checksum_is_right_is_installed(
    releases: tuple[str, Path], tmp_path: Path, asked: tuple[str, ...]
) -> None:
    place = tmp_path / "tool"
    done = fetch(releases[0], place, *asked)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([place], capture_output=True, text=True, check=True).stdout == "I am the program\n"


def test_what_was_changed_on_the_way_is_refused(releases: tuple[str, Path], tmp_path: Path) -> None:
    base, folder = releases
    file = next(folder.rglob("kubectl"))
    file.write_bytes(PROGRAM + b"rm -rf /\n")
    done = fetch(base, tmp_path / "tool", "kubectl", "1.30.0", "--arch", "arm64")
    assert (done.returncode, "the published one is" in done.stderr) == (1, True)
    assert not (tmp_path / "tool").exists()


def test_a_published_sum_of_another_file_is_none(releases: tuple[str, Path], tmp_path: Path) -> None:
    base, folder = releases
    sums = next(folder.rglob("*SHA256SUMS"))
    sums.write_text(sums.read_text().splitlines()[0] + "\n")
    done = fetch(base, tmp_path / "tool", "terraform", "1.2.3", "--arch", "amd64")
    assert (done.returncode, "missing" in done.stderr) == (1, True)


def test_a_pinned_checksum_is_held_to(releases: tuple[str, Path], tmp_path: Path) -> None:
    done = fetch(releases[0], tmp_path / "tool", "kubectl", "1.30.0", "--arch", "arm64", "--sha256", "1" * 64)
    assert (done.returncode, "the pinned one is" in done.stderr) == (1, True)


def test_a_version_that_does_not_exist_is_told(releases: tuple[str, Path], tmp_path: Path) -> None:
    done = fetch(releases[0], tmp_path / "tool", "kubectl", "9.9.9", "--arch", "arm64")
    assert (done.returncode, "answered 404" in done.stderr) == (1, True)
