"""What `innominatus mcp` imports while its client waits."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.served import Served
from tests.support.stdio_client import Client


def imported(data_dir: Path, folder: Path, **env: str) -> set[str]:
    """The modules that have been imported by the end of a client that lists the tools and leaves."""
    log = folder / "imports.log"
    with log.open("w") as stderr:
        client = Client(data_dir, python=("-X", "importtime"), stderr=stderr, **env)
        assert client.tools() == 10
        assert client.leave() == 0
    return set(re.findall(r"^import time: .*\| +(\S+)$", log.read_text(), flags=re.MULTILINE))


def test_nothing_that_only_colours_terminals_is_imported(tmp_path: Path, provider: Path) -> None:
    found = imported(tmp_path / "data", tmp_path, INNOMINATUS_PROVIDERS=str(provider))
    assert "mcp" in found
    assert found.isdisjoint({"rich.text", "pygments.lexer"})


def test_the_way_to_another_engine_imports_none(served: Served, tmp_path: Path) -> None:
    found = imported(served.data_dir, tmp_path)
    assert "mcp" in found
    assert found.isdisjoint({"sqlalchemy", "alembic", "jinja2", "jsonschema", "dramatiq", "fastapi", "rich.text"})


def test_messages_of_the_protocol_are_built_when_they_come() -> None:
    script = (
        "from cli import lean; lean.import_protocol()\n"
        "from mcp_types.methods import CLIENT_REQUESTS\n"
        "from pydantic import BaseModel\n"
        "class Ours(BaseModel): n: int\n"
        "prompts = CLIENT_REQUESTS['prompts/get', '2025-06-18']\n"
        "before = prompts.__pydantic_complete__\n"
        "prompts.model_validate({'method': 'prompts/get', 'id': 1, 'jsonrpc': '2.0', 'params': {'name': 'x'}})\n"
        "print(Ours.__pydantic_complete__, before, prompts.__pydantic_complete__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "True"]
