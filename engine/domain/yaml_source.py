"""YAML text as JSON values that remember where they were written; safe for hostile text.

Scalars follow the YAML 1.2 core schema, as Score's own tools do: only `true` and `false` are booleans, timestamps and
`yes`/`no`/`on`/`off` are text. `0777` is octal, as in those tools.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml.events import DocumentStartEvent, Event, StreamEndEvent

from engine.domain.values import Json
from engine.domain.yaml_builder import Builder, Halt, Limits, Node, Spent
from engine.domain.yaml_path import Path, dotted, shortened
from engine.errors import Problem

__all__ = ["Limits", "Path", "Source", "dotted", "load", "load_all", "shortened"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it: ten times faster
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Source:
    """What a text says. `value` is None when nothing could be read; then, and not only then, `problems` says why.

    Duplicate keys, refused tags and the like leave a value that is good enough to look for further problems in, but
    no one should act on a source with problems.
    """

    value: Json = None
    problems: tuple[Problem, ...] = ()
    file: str = ""
    root: Node = field(default_factory=lambda: Node(1, 1))

    def place(self, path: Path) -> tuple[int, int]:
        """Line and column (from 1) of the key or list item at `path`, or of its nearest parent that was written."""
        node = self._walk(path)[0]
        return node.line, node.column

    def text(self, path: Path) -> str | None:
        """The scalar at `path` as it was written (`1.10`, not 1.1); None where there is no scalar."""
        node, found = self._walk(path)
        return node.text if found else None

    def problem(self, code: str, path: Path, message: str, fix: str = "") -> Problem:
        """An error at `path`, with its line and column."""
        line, column = self.place(path)
        return Problem(code, dotted(path), message, fix, line, column, file=self.file)

    def _walk(self, path: Path) -> tuple[Node, bool]:
        node = self.root
        for part in path:
            child = node.children.get(part) if node.children else None
            if child is None:
                return node, False
            node = child
        return node, True


def load(text: str | bytes, *, limits: Limits | None = None, file: str = "") -> Source:
    """Read one YAML document. Never raises for what the text holds; time and memory are bounded by `limits`."""
    bounds = limits or Limits()
    builder = Builder(bounds, file)
    try:
        value, root = builder.build(_events(_decoded(text, bounds)))
    except Halt as halt:
        problem = halt.problem
        return Source(problems=(*builder.problems, _with_file(problem, file)), file=file)
    return Source(value, tuple(builder.problems), file, root)


def load_all(text: str | bytes, *, limits: Limits | None = None, file: str = "") -> tuple[Source, ...]:
    """Every document of a text that may hold several, at least one, empty ones left out; `limits` bound them together.

    Reading ends at the first document that cannot be read at all.
    """
    bounds = limits or Limits()
    spent, sources = Spent(), list[Source]()
    builder = Builder(bounds, file, spent=spent)
    started = False
    try:
        for event in _events(_decoded(text, bounds)):
            if isinstance(event, DocumentStartEvent | StreamEndEvent):
                if started:
                    sources += _finished(builder, file)
                builder, started = Builder(bounds, file, spent=spent), True
            builder.take(event)
    except Halt as halt:
        return (*sources, Source(problems=(*builder.problems, _with_file(halt.problem, file)), file=file))
    return tuple(sources) or (load("", file=file),)


def _finished(builder: Builder, file: str) -> list[Source]:
    try:
        value, root = builder.finish()
    except Halt:
        return []
    return [Source(value, tuple(builder.problems), file, root)]


def _with_file(problem: Problem, file: str) -> Problem:
    return Problem(
        problem.code, problem.path, problem.message, problem.fix, problem.line, problem.column, problem.severity, file
    )


def _decoded(text: str | bytes, limits: Limits) -> str:
    if len(text) > limits.max_bytes:
        raise Halt(_too_large(limits))
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            before = text[: error.start]
            line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
            message = "the document is not UTF-8 text"
            raise Halt(Problem("yaml_encoding", "", message, "save the file as UTF-8", line, column)) from error
    elif not text.isascii() and len(text.encode("utf-8", "replace")) > limits.max_bytes:
        raise Halt(_too_large(limits))
    text = text.removeprefix("\ufeff")
    if found := _UNPRINTABLE.search(text):
        line, column = text.count("\n", 0, found.start()) + 1, found.start() - (text.rfind("\n", 0, found.start()) + 1)
        message = f"the document holds the character U+{ord(found[0]):04X}, which no YAML text may hold"
        raise Halt(Problem("yaml_binary", "", message, "send the YAML text itself", line, column + 1))
    return text


def _too_large(limits: Limits) -> Problem:
    message = f"the document is larger than {limits.max_bytes:,} bytes"
    return Problem("yaml_too_large", "", message, "split it, or move large files to where they can be referred to")


_UNCLOSED = re.compile(r"quoted scalar|flow (?:sequence|mapping)")


def _events(text: str) -> Iterator[Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)  # pyright: ignore[reportUnknownMemberType]  # untyped
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        opened = error.context_mark.line + 1 if error.context_mark and _UNCLOSED.search(said) else line
        fix = _syntax_fix(said, text, line) if opened == line else f"close the quote or bracket opened in line {opened}"
        raise Halt(Problem("yaml_syntax", "", f"the YAML cannot be read: {said}", fix, line, column)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise Halt(Problem("yaml_syntax", "", f"the YAML cannot be read: {shortened(str(error))}")) from error


def _syntax_fix(said: str, text: str, line: int) -> str:
    lines = text.split("\n")
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return "indent with spaces: YAML allows no tabs there"
    if written.startswith("```"):
        return "leave out the lines with three backquotes around the document"
    if "cannot start any token" in said:
        return "put a value that starts with `@`, `%` or a backquote in quotes"
    if "mapping values are not allowed" in said:
        return "put a value that holds `: ` in quotes, or check the indentation of this line"
    return "check the indentation, quotes and brackets of this line and the one before it"
