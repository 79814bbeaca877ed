"""A Valkey for one test, which may stop it and start it again."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import servers


@dataclass
class Valkey:
    """A server of this test, by hand stopped and started again at its address."""

    data: Path
    server: servers.RunningServer

    @property
    def url(self) -> str:
        at = self.server
        return f"redis://{at.user}:{at.password}@{at.host}:{at.port}/0"

    def kill(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)

    def start(self) -> None:
        again = servers.start("valkey", self.data)
        assert (again.port, again.password) == (self.server.port, self.server.password)
        self.server = again


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    data = Path(tempfile.mkdtemp(prefix="innominatus-tests-"))
    try:
        yield Valkey(data, servers.start("valkey", data))
    finally:
        servers.purge(data)
        shutil.rmtree(data, ignore_errors=True)
