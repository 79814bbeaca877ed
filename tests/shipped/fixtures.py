"""A provider's data directory that is gone after the test, with every server that ran in it."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.shipped.steps import Bench
from tests.support import servers

WHO = ["ourselves", "ordinary"] if os.geteuid() == 0 else ["ourselves"]


@contextmanager
def bench(provider: str, who: str = "ourselves") -> Generator[Bench]:
    data = Path(tempfile.mkdtemp(prefix="innominatus-shipped-"))
    try:
        yield Bench(provider, data, ordinary=who == "ordinary")
    finally:
        servers.purge(data / "provider")
        shutil.rmtree(data)
