"""docker-compose.yml as Compose reads it, and its services run as written where there is no container engine."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?P<rule>:-|:\?|\}))")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

Object = dict[str, Any]
REQUIRED = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "INNOMINATUS_SECRET_KEY", "INNOMINATUS_API_TOKEN")
"""What has no default."""


class MissingVariable(Exception):
    """What Compose says of `${VAR:?message}` without a VAR."""


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """`text` with `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR:?message}` (nested, too) and `$$` replaced."""
    result, place = "", 0
    while match := _VARIABLE.search(text, place):
        result += text[place : match.start()]
        place = match.end()
        if match["escaped"]:
            result += "$"
            continue
        name = match["plain"] or match["name"]
        value = variables.get(name, "")
        if match["rule"] in {":-", ":?"}:
            end = _closing(text, place)
            rest, place = text[place:end], end + 1
            if not value and match["rule"] == ":?":
                raise MissingVariable(f"required variable {name} is missing a value: {rest}")
            value = value or interpolated(rest, variables)
        result += value
    return result + text[place:]


def _closing(text: str, place: int) -> int:
    """Where the brace that is open at `place` closes."""
    depth = 1
    for index in range(place, len(text)):
        depth += text.startswith("${", index) - (text[index] == "}")
        if not depth:
            return index
    raise ValueError(f"a brace is not closed: {text}")


def read(variables: Mapping[str, str]) -> Object:
    """The whole file with its variables replaced."""
    return cast("Object", _replaced(yaml.safe_load(FILE.read_text(encoding="utf-8")), variables))


def _replaced(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _replaced(value, variables) for key, value in cast("Object", node).items()}
    if isinstance(node, list):
        return [_replaced(value, variables) for value in cast("list[Any]", node)]
    return interpolated(node, variables) if isinstance(node, str) else node


def make_env(folder: Path) -> "subprocess.CompletedProcess[str]":
    """What `make compose-env` runs, in `folder`."""
    program = [sys.executable, str(CHECKOUT / "containers" / "compose_env.py")]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=True)


def dotenv(path: Path) -> dict[str, str]:
    """The variables of an `.env` file; 'single quotes' are taken off."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pairs = [line.partition("=") for line in lines]
    return {name: value.removeprefix("'").removesuffix("'") for name, _, value in pairs}


def seconds(duration: str) -> float:
    """A duration as Compose writes it: `1m30s`."""
    found = re.findall(r"(\d+)(ms|s|m|h)", duration)
    assert found, duration
    return sum(int(number) * _UNITS[unit] for number, unit in found)


@dataclass
class Service:
    """One service, run as written but for `places`: what stands in the file, and what it is here."""

    name: str
    written: Object
    places: Mapping[str, str]
    folder: Path
    program: Sequence[str] = ()
    """The image's entry point."""
    process: "subprocess.Popen[bytes] | None" = None
    programs: Sequence[Path] = ()
    """Folders of what the image would have."""

    @property
    def environment(self) -> dict[str, str]:
        given = cast("dict[str, str]", self.written.get("environment", {}))
        here = {name: self._here(str(value)) for name, value in given.items()}
        path = [*map(str, self.programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        return {"PATH": os.pathsep.join(path), "HOME": str(self.folder), **here}

    @property
    def command(self) -> list[str]:
        return [*self.program, *(self._here(str(part)) for part in self.written["command"])]

    @property
    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text(encoding="utf-8")

    def start(self, **more: str) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**self.environment, **more},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def run(self, **more: str) -> int:
        """The exit code of a service that ends by itself."""
        self.start(**more)
        assert self.process is not None
        return self.process.wait(60)

    def check(self, **more: str) -> "subprocess.CompletedProcess[str]":
        """The health check, once."""
        kind, *words = (self._here(str(word)) for word in self.written["healthcheck"]["test"])
        argv = ["sh", "-c", words[0]] if kind == "CMD-SHELL" else words
        return subprocess.run(
            argv,
            env={**self.environment, **more},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stop(self) -> tuple[int, bool]:
        """The exit code after the stop signal, and whether it came within the grace that the file gives."""
        assert self.process is not None
        number = getattr(signal, self.written.get("stop_signal", "SIGTERM"))
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds(self.written["stop_grace_period"])), True
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(10), False

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def _here(self, text: str) -> str:
        written = "|".join(re.escape(place) for place in self.places)
        return re.sub(written, lambda match: self.places[match[0]], text)
