"""The Dockerfile as a builder reads it: stages of instructions."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


@dataclass
class Stage:
    """One FROM with what follows. `base` is an image, or the name of an earlier stage."""

    name: str
    base: str
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Instruction and the rest of the line, continued lines joined."""

    def all(self, instruction: str) -> list[str]:
        return [rest for word, rest in self.lines if word == instruction]


def instructions(text: str) -> list[tuple[str, str]]:
    whole = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", whole)
    pairs = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(word.upper(), rest.strip()) for word, rest in pairs]


def stages() -> list[Stage]:
    """The stages in the order of the file; arguments before the first FROM are put in."""
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for word, rest in instructions((CHECKOUT / "Dockerfile").read_text(encoding="utf-8")):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(name, re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], base)))
        elif found:
            found[-1].lines.append((word, rest))
        else:
            assert word == "ARG", word
            name, _, value = rest.partition("=")
            arguments[name] = value
    return found


def lineage(name: str) -> list[Stage]:
    """A stage with those it is built on, from the ground up."""
    named = {stage.name: stage for stage in stages()}
    stage = named[name]
    return [*(lineage(stage.base) if stage.base in named else []), stage]


def environment(found: list[Stage]) -> dict[str, str]:
    """What ENV sets."""
    words = [word for stage in found for line in stage.all("ENV") for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def argument(stage: Stage, name: str) -> str:
    """The default of an ARG."""
    return next(rest.partition("=")[2] for rest in stage.all("ARG") if rest.partition("=")[0] == name)


def words(line: str) -> list[str]:
    """The JSON form of CMD, ENTRYPOINT and HEALTHCHECK."""
    found: list[str] = json.loads(line[line.index("[") :])
    return found


def copied(stage: Stage) -> list[tuple[str, list[str], str]]:
    """(stage copied from or "", sources, target) of every COPY."""
    result: list[tuple[str, list[str], str]] = []
    for line in stage.all("COPY"):
        *parts, target = shlex.split(line)
        origin = "".join(part.removeprefix("--from=") for part in parts if part.startswith("--from="))
        result.append((origin, [part for part in parts if not part.startswith("--")], target))
    return result
