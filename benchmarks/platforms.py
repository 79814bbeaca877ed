"""A running platform on a scratch folder, on SQLite or on a PostgreSQL of its own."""

import base64
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cli import compose
from cli.compose import Running
from engine.config import Settings
from engine.domain.values import Actor, ActorKind
from engine.store import schema
from tests.support import servers

HERE = Path(__file__).parent
ACTOR = Actor(ActorKind.USER, "bench")


@contextmanager
def scratch() -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="innominatus-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(*, database: str, threads: int) -> Generator[Running]:
    """`database` is `sqlite` or `postgresql`."""
    with scratch() as folder:
        url = ""
        if database == "postgresql":
            server = servers.start("postgres", folder / "server")
            url = f"postgresql+psycopg://{server.user}:{server.password}@{server.host}:{server.port}/postgres"
            schema.upgrade(url)
        settings = Settings.model_validate(
            {
                "data_dir": folder / "data",
                "database_url": url,
                "secret_key": base64.urlsafe_b64encode(os.urandom(32)).decode() if url else "",
                "providers": str(HERE / "providers" / "bench-team"),
                "threads": threads,
                "health_seconds": 0,
            }
        )
        platform = compose.start(settings)
        try:
            yield platform
        finally:
            platform.close(grace=1)
            if url:
                servers.purge(folder / "server")
