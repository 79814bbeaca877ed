"""One server with a small provider for all tests of the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.served import Served, start, write_provider


@pytest.fixture(scope="package")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_provider(tmp_path_factory.mktemp("providers") / "cli-team")


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory, provider: Path) -> Iterator[Served]:
    found = start(tmp_path_factory.mktemp("serve") / "data", INNOMINATUS_PROVIDERS=str(provider))
    yield found
    assert found.stop() == 0
