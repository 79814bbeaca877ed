"""A client of `innominatus mcp`, as a process of its own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from tests.support.served import clean_environment


class Client:
    """A client on the stdin and stdout of `innominatus mcp`."""

    def __init__(
        self, data_dir: Path, *, python: Sequence[str] = (), stderr: IO[str] | int | None = None, **env: str
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *python, "-m", "cli.server", "mcp", "--data-dir", str(data_dir)],
            env=clean_environment(**env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self._number = 0
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        self.heard: list[dict[str, Any]] = []
        """Notifications that came before an answer."""
        self.hello = self.ask("initialize", hello)
        assert self.hello["serverInfo"]["name"] == "innominatus"
        self._send({"method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        return self.answer(self._number)["result"]

    def answer(self, number: int) -> Any:
        """The message that answers that request."""
        while (message := self._read()).get("id") != number:
            self.heard.append(message)
        return message

    def refused(self, method: str, params: dict[str, Any]) -> str:
        """What the protocol error says."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        return self.answer(self._number)["error"]["message"]

    def updated(self) -> str:
        """The address of the next resource that is said to have changed."""
        while not self.heard:
            self.heard.append(self._read())
        message = self.heard.pop(0)
        return message["params"]["uri"] if message["method"] == "notifications/resources/updated" else self.updated()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process has closed its stdout"
        return json.loads(line)

    def tools(self) -> int:
        return len(self.ask("tools/list", {})["tools"])

    def leave(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(30)

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()
