"""`innominatus mcp config`: what clients read, and how it gets into their files."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli import mcp_clients
from cli.options import Client
from engine.config import Settings
from engine.domain.values import JsonObject
from engine.errors import Conflict, Invalid


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def document(
    client: Client, *, server: str | None = None, toolsets: str | None = None, read_only: bool = False
) -> JsonObject:
    settings = Settings(data_dir=Path("/data"))
    return mcp_clients.configuration(settings, client, server=server, toolsets=toolsets, read_only=read_only)


def entry(client: Client, found: JsonObject | None = None) -> dict[str, Any]:
    """Our server, in a document or in the client's file."""
    whole = found or json.loads(mcp_clients.file_of(client).read_text())
    return json.loads(json.dumps(whole))["servers" if client is Client.VSCODE else "mcpServers"]["innominatus"]


@pytest.mark.parametrize("client", Client)
def test_every_client_gets_the_form_it_reads(client: Client) -> None:
    made = entry(client, document(client))
    assert ("type" in made) is (client in {Client.CLAUDE_CODE, Client.VSCODE})
    assert made["args"][-1] == "mcp"
    assert made["env"] == {"INNOMINATUS_DATA_DIR": "/data"}


@pytest.mark.parametrize("client", Client)
def test_installing_into_nothing_makes_the_file_for_its_owner_alone(client: Client, home: Path) -> None:
    done = mcp_clients.install(client, document(client))
    assert done.file.resolve().is_relative_to(home)
    assert done.file.stat().st_mode & 0o777 == 0o600
    assert entry(client) == entry(client, document(client))


def test_toolsets_and_reading_only_are_arguments_of_the_program() -> None:
    made = entry(Client.CURSOR, document(Client.CURSOR, toolsets="core,operate", read_only=True))
    assert made["args"][-4:] == ["mcp", "--toolsets", "core,operate", "--read-only"]


def test_installing_adds_to_what_is_there_and_says_so() -> None:
    file = mcp_clients.file_of(Client.CLAUDE_DESKTOP)
    file.parent.mkdir(parents=True)
    file.write_text('{"theme": "dark", "mcpServers": {"other": {"command": "x"}}}')
    file.chmod(0o644)
    wanted = document(Client.CLAUDE_DESKTOP)
    done = mcp_clients.install(Client.CLAUDE_DESKTOP, wanted)
    kept = json.loads(file.read_text())
    again = mcp_clients.install(Client.CLAUDE_DESKTOP, wanted)
    assert kept["theme"] == "dark"
    assert set(kept["mcpServers"]) == {"other", "innominatus"}
    assert file.stat().st_mode & 0o777 == 0o644
    assert mcp_clients.told(done, Client.CLAUDE_DESKTOP).startswith(f"Added to {file}.")
    assert mcp_clients.told(again, Client.CLAUDE_DESKTOP) == f"{file} has it already."
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_token_that_a_person_put_in_stays_while_the_server_is_the_same() -> None:
    here = document(Client.CURSOR, server="https://platform.example")
    done = mcp_clients.install(Client.CURSOR, here)
    assert "Put the token" in mcp_clients.told(done, Client.CURSOR)
    file = mcp_clients.file_of(Client.CURSOR)
    file.write_text(file.read_text().replace("the server's token", "inn_mine"))
    mcp_clients.install(Client.CURSOR, document(Client.CURSOR, server="https://platform.example", read_only=True))
    kept = entry(Client.CURSOR)
    mcp_clients.install(Client.CURSOR, document(Client.CURSOR, server="https://other.example"))
    moved = entry(Client.CURSOR)
    assert (kept["env"]["INNOMINATUS_API_TOKEN"], kept["args"][-1]) == ("inn_mine", "--read-only")
    assert moved["env"]["INNOMINATUS_API_TOKEN"] == "the server's token"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"// comments\n{}", "it is no plain JSON"),
        (b"[]", "it holds no JSON object"),
        (b'{"mcpServers": []}', "its `mcpServers` is no object"),
        (b"\xff\xfe", "it is no UTF-8"),
    ],
)
def test_a_file_that_is_not_understood_is_left_as_it_was(text: bytes, words: str) -> None:
    file = mcp_clients.file_of(Client.CURSOR)
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    with pytest.raises(Invalid) as refused:
        mcp_clients.install(Client.CURSOR, document(Client.CURSOR))
    assert words in str(refused.value.problems[0])
    assert file.read_bytes() == text


def test_a_place_that_cannot_be_written_is_named(home: Path) -> None:
    (home / ".cursor").write_text("a file, where a folder belongs")
    with pytest.raises((Conflict, Invalid)) as refused:
        mcp_clients.install(Client.CURSOR, document(Client.CURSOR))
    assert ".cursor" in f"{refused.value.message} {getattr(refused.value, 'problems', '')}"


def test_a_link_stays_a_link(home: Path) -> None:
    real = home / "dotfiles.json"
    real.write_text("{}")
    file = mcp_clients.file_of(Client.CURSOR)
    file.parent.mkdir(parents=True)
    file.symlink_to(real)
    mcp_clients.install(Client.CURSOR, document(Client.CURSOR))
    assert file.is_symlink()
    assert "innominatus" in real.read_text()
