"""The official conformance suites as programs of npm, and what they find."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    Final,
    NotRequired,  # pydantic reads no other on Python 3.11
)

from pydantic import TypeAdapter
from typing_extensions import TypedDict

PACKAGE: Final = "@modelcontextprotocol/conformance"
INSTALLED: Final = "CONFORMANCE_NODE_MODULES"
"""Names `node_modules` folders that hold the packages already, so that nothing is downloaded."""
_RESULTS = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT")


class NoNpx(Exception):
    """There is nothing to run the suites with."""


class Check(TypedDict):
    """One finding, as the suites write it down."""

    name: str
    status: str
    errorMessage: NotRequired[str]


_CHECKS = TypeAdapter(list[Check])


@dataclass(frozen=True)
class Suite:
    """Scenarios of one version of the package against one address; those that begin with `but` do not count."""

    title: str
    version: str
    url: str
    runs: Sequence[Sequence[str]]
    but: str = ""


@dataclass
class Found:
    """What the scenarios of a suite said."""

    scenarios: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])
    last_words: str = ""

    @property
    def well(self) -> bool:
        return self.scenarios > 0 and not self.failures


def run(suite: Suite, into: Path) -> Found:
    """Run all of it; the checks of each scenario are kept in `into`. Raises NoNpx."""
    words_to_start, environment = program(suite.version)
    found = Found()
    for number, words in enumerate(suite.runs):
        folder = into / str(number)
        command = [*words_to_start, "server", "--url", suite.url, "--output-dir", str(folder), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        before = len(found.failures)
        _read(suite, folder, found)
        if (done.returncode or not folder.is_dir()) and len(found.failures) == before:
            found.failures.append(f"`{' '.join(words)}` ended with exit code {done.returncode}: not all was tested")
            found.last_words = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
    return found


def _read(suite: Suite, folder: Path, found: Found) -> None:
    for scenario, checks in _scenarios(folder):
        if suite.but and scenario.startswith(suite.but):
            continue
        found.scenarios += 1
        found.counts.update(check["status"] for check in checks)
        found.failures += [
            f"{scenario}: {check['name']}: {check.get('errorMessage', '')}"
            for check in checks
            if check["status"] == "FAILURE"
        ]


def _scenarios(folder: Path) -> Iterator[tuple[str, list[Check]]]:
    for file in sorted(folder.glob("*/checks.json")):
        named = _RESULTS.match(file.parent.name)
        yield named[1] if named else file.parent.name, _CHECKS.validate_python(json.loads(file.read_text()))


def program(version: str) -> tuple[list[str], dict[str, str]]:
    """The words that start a version of the package, and the environment to start it in. Raises NoNpx."""
    for folder in map(Path, filter(None, os.environ.get(INSTALLED, "").split(os.pathsep))):
        package = folder / PACKAGE / "package.json"
        if package.is_file() and json.loads(package.read_text())["version"] == version:
            programs = folder / ".bin"
            path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
            return [str(programs / "conformance")], {**os.environ, "PATH": path}
    npx = shutil.which("npx")
    if npx is None:
        raise NoNpx("`npx` is missing: install Node.js 22 or newer, which brings it.")
    return [npx, "--yes", f"{PACKAGE}@{version}"], dict(os.environ)
