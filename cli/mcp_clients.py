"""Where MCP clients keep their configuration, what ours looks like in it, and how it gets there."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cli.options import Client
from cli.text import as_object
from engine.config import Settings
from engine.domain.values import Json, JsonObject
from engine.errors import Conflict, Invalid, Problem

NAME = "innominatus"
_NO_TOKEN = "the server's token"  # noqa: S105 - it says what belongs there


@dataclass(frozen=True, slots=True)
class _Habit:
    """How a client writes it: the key of its servers, whether each says its type, and the file."""

    servers: str
    typed: bool
    file: Callable[[], Path]


def _claude_desktop() -> Path:
    if sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support" / "Claude"
    elif sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "Claude"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "Claude"
    return folder / "claude_desktop_config.json"


_HABITS = {
    Client.CLAUDE_DESKTOP: _Habit("mcpServers", typed=False, file=_claude_desktop),
    Client.CLAUDE_CODE: _Habit("mcpServers", typed=True, file=lambda: Path(".mcp.json")),
    Client.CURSOR: _Habit("mcpServers", typed=False, file=lambda: Path.home() / ".cursor" / "mcp.json"),
    Client.VSCODE: _Habit("servers", typed=True, file=lambda: Path(".vscode") / "mcp.json"),
}


_AFTERWARDS = {
    Client.CLAUDE_DESKTOP: "Restart Claude Desktop, and ask it for a database.",
    Client.CLAUDE_CODE: "Start `claude` in this folder and agree to the server; `/mcp` shows it.",
    Client.CURSOR: "Cursor's settings show it under MCP.",
    Client.VSCODE: "Start it from the file in VS Code, or with the command `MCP: List Servers`.",
}


def file_of(client: Client) -> Path:
    """The file of the user, or of the project in the working directory."""
    return _HABITS[client].file()


def configuration(
    settings: Settings, client: Client, *, server: str | None, toolsets: str | None, read_only: bool
) -> JsonObject:
    """The whole document with our server alone in it."""
    habit = _HABITS[client]
    beside = Path(sys.executable).with_name(NAME)
    found = str(beside) if beside.exists() else shutil.which(NAME)
    command, args = (found, ["mcp"]) if found else (sys.executable, ["-m", "cli.server", "mcp"])
    args += ["--toolsets", toolsets] if toolsets else []
    args += ["--read-only"] if read_only else []
    environment: JsonObject = {"INNOMINATUS_DATA_DIR": str(settings.data_dir.absolute())}
    if server:
        environment = {"INNOMINATUS_API_BASE": server, "INNOMINATUS_API_TOKEN": _NO_TOKEN}
    kind: JsonObject = {"type": "stdio"} if habit.typed else {}
    return {habit.servers: {NAME: {**kind, "command": command, "args": list[Json](args), "env": environment}}}


@dataclass(frozen=True, slots=True)
class Installed:
    """What became of the file: `before` is our entry as it was (None when there was none), `entry` as it is."""

    file: Path
    before: JsonObject | None
    entry: JsonObject

    @property
    def changed(self) -> bool:
        return self.before != self.entry


def install(client: Client, wanted: JsonObject) -> Installed:
    """Put our server among those in the client's file, which is written whole or not at all.

    A token in an entry of ours for the same server is kept. Raises Invalid for a file that is no JSON object.
    """
    file, key = file_of(client), _HABITS[client].servers
    document = _read(file)
    servers = document.get(key, {})
    if not isinstance(servers, dict):
        raise _not_ours(file, f"its `{key}` is no object")
    entry = as_object(as_object(wanted[key])[NAME])
    before = as_object(servers[NAME]) if NAME in servers else None
    entry = _with_token(entry, before)
    done = Installed(file, before, entry)
    if done.changed:
        _write(file, {**document, key: {**servers, NAME: entry}})
    return done


def told(done: Installed, client: Client) -> str:
    """What a person is told about it."""
    if not done.changed:
        return f"{done.file} has it already."
    what = "Changed in" if done.before else "Added to"
    missing = as_object(done.entry["env"]).get("INNOMINATUS_API_TOKEN") == _NO_TOKEN
    lines = [f"{what} {done.file}."]
    lines += [f'Put the token in place of "{_NO_TOKEN}" there.'] if missing else []
    return "\n".join([*lines, _AFTERWARDS[client]])


def _with_token(entry: JsonObject, before: JsonObject | None) -> JsonObject:
    """The entry with the token that a person put into it before, as long as the server is the same."""
    now, then = as_object(entry["env"]), as_object((before or {}).get("env"))
    token = then.get("INNOMINATUS_API_TOKEN")
    if token is None or then.get("INNOMINATUS_API_BASE") != now.get("INNOMINATUS_API_BASE"):
        return entry
    return {**entry, "env": {**now, "INNOMINATUS_API_TOKEN": token}}


def _read(file: Path) -> JsonObject:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _not_ours(file, f"it cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8'}") from error
    try:
        document: object = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise _not_ours(file, f"it is no plain JSON ({error})") from error
    if not isinstance(document, dict):
        raise _not_ours(file, "it holds no JSON object")
    return as_object(document)  # pyright: ignore[reportUnknownArgumentType] # JSON from outside


def _not_ours(file: Path, why: str) -> Invalid:
    problem = Problem("client_configuration", str(file), f"is left as it was: {why}")
    hint = "Leave `--install` out and paste what is printed into it by hand."
    return Invalid("The client's configuration cannot be changed.", [problem], code="client_configuration", hint=hint)


def _write(file: Path, document: JsonObject) -> None:
    """Beside it first, then in its place, with the rights it had: it may hold other servers' tokens."""
    target = file.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
            Path(beside).chmod(mode)
            Path(beside).replace(target)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Conflict(
            f"`{target}` cannot be written: {error.strerror or error}.",
            code="client_configuration",
            hint="Check its rights, or leave `--install` out and paste what is printed.",
        ) from error
