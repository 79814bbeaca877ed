"""Values from YAML events: one pass, no recursion, every limit checked before memory is spent."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from yaml import events as ev

from engine.domain.values import Json
from engine.domain.yaml_path import Path, dotted, shortened
from engine.errors import Problem

MOST_PROBLEMS = 100
_LONGEST_INTEGER = 60
_YAML = "tag:yaml.org,2002:"
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OCTAL = re.compile(r"[0-7]+")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LARGEST = 2**64


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may cost. `max_nodes` and `max_characters` are counted after aliases are expanded."""

    max_bytes: int = 1_000_000
    max_depth: int = 64
    max_nodes: int = 100_000
    max_characters: int = 10_000_000


@dataclass(slots=True)
class Spent:
    """What the documents of one text have cost so far."""

    nodes: int = 0
    characters: int = 0


class Halt(Exception):
    """Nothing further can be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class Node:
    """Where a value was written: `line` and `column` of its key in a mapping, of itself elsewhere; and its children."""

    line: int
    column: int
    text: str | None = None
    children: "dict[str | int, Node] | None" = None

    def at(self, line: int, column: int) -> "Node":
        return Node(line, column, self.text, self.children)


class Cost(NamedTuple):
    nodes: int
    characters: int
    height: int


class Built(NamedTuple):
    value: Json
    node: Node
    cost: Cost
    merge: bool = False
    """True for a plain `<<`, which as a key means: take over the entries of the value."""


@dataclass(slots=True)
class _Frame:
    """A mapping or sequence that is being filled."""

    node: Node
    anchor: str | None
    items: list[Built] | None = None
    entries: dict[str, Json] | None = None
    key: Built | None = None
    merged: list[Built] = field(default_factory=list[Built])
    nodes: int = 1
    characters: int = 0
    height: int = 1

    def add_cost(self, cost: Cost) -> None:
        self.nodes += cost.nodes
        self.characters += cost.characters
        self.height = max(self.height, cost.height + 1)


class Builder:
    """Builds one document; `problems` collects what is wrong with it without stopping the reading."""

    def __init__(self, limits: Limits, file: str, *, spent: Spent | None = None) -> None:
        self.problems: list[Problem] = []
        self._limits = limits
        self._file = file
        self._anchors: dict[str, Built | None] = {}
        self._stack: list[_Frame] = []
        self._root: Built | None = None
        self._documents = 0
        self._spent = spent or Spent()

    def build(self, events: Iterable[ev.Event]) -> tuple[Json, Node]:
        """The document's value. Raises Halt for what ends the reading."""
        for event in events:
            self.take(event)
        return self.finish()

    def finish(self) -> tuple[Json, Node]:
        """The value of the events taken so far. Raises Halt when they hold none."""
        if self._root is None or self._root.value is None:
            fix = "send a document with at least one key"
            raise Halt(Problem("yaml_empty", "", "the document is empty", fix, 1, 1, file=self._file))
        return self._root.value, self._root.node

    def take(self, event: ev.Event) -> None:
        match event:
            case ev.ScalarEvent():
                self._spend(event, 1, len(event.value))
                self._add(self._scalar(event), event.anchor)
            case ev.MappingStartEvent() | ev.SequenceStartEvent():
                self._open(event)
            case ev.MappingEndEvent() | ev.SequenceEndEvent():
                self._close()
            case ev.AliasEvent():
                self._add(self._alias(event), None)
            case ev.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    fix = "send each document by itself; remove the `---` line"
                    self._halt(event, "yaml_multiple_documents", "the text holds more than one document", fix)
            case _:
                pass

    def _open(self, event: ev.MappingStartEvent | ev.SequenceStartEvent) -> None:
        if len(self._stack) >= self._limits.max_depth:
            self._too_deep(event)
        self._spend(event, 1, 0)
        mapping = isinstance(event, ev.MappingStartEvent)
        expected = "map" if mapping else "seq"
        if event.tag not in (None, "!", _YAML + expected):
            self._refuse_tag(event, event.tag)
        if event.anchor:
            self._anchors[event.anchor] = None
        node = Node(*_place(event), children={})
        self._stack.append(
            _Frame(node, event.anchor, entries={} if mapping else None, items=None if mapping else []),
        )

    def _close(self) -> None:
        frame = self._stack.pop()
        value: Json
        if frame.entries is not None:
            for merged in frame.merged:
                _merge(frame, merged)
            value = frame.entries
        else:
            value = [item.value for item in frame.items or ()]
        self._add(Built(value, frame.node, Cost(frame.nodes, frame.characters, frame.height)), frame.anchor)

    def _add(self, built: Built, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = built
        if not self._stack:
            self._root = built
            return
        frame = self._stack[-1]
        frame.add_cost(built.cost)
        if frame.items is not None:
            if frame.node.children is not None:
                frame.node.children[len(frame.items)] = built.node
            frame.items.append(built)
        elif frame.key is None:
            frame.key = built
        else:
            self._enter(frame, frame.key, built)
            frame.key = None

    def _enter(self, frame: _Frame, key: Built, built: Built) -> None:
        children, entries = frame.node.children, frame.entries
        if children is None or entries is None:
            return
        if key.merge:
            self._take_merge(frame, key, built)
            return
        if isinstance(key.value, str):
            name = key.value
        else:
            name = key.node.text
            self._report(key.node, "yaml_key", f"the key `{shortened(name or '…')}` is not text", _key_fix(name))
            if name is None:
                return
        if name in children:
            first = children[name]
            message = f"the key `{shortened(name)}` stands here and in line {first.line}"
            self._report(key.node, "yaml_duplicate_key", message, "keep one of the two")
            return
        entries[name] = built.value
        children[name] = built.node.at(key.node.line, key.node.column)

    def _take_merge(self, frame: _Frame, key: Built, built: Built) -> None:
        if frame.merged:
            fix = "give a list: `<<: [*a, *b]`"
            self._report(key.node, "yaml_duplicate_key", "`<<` stands twice in one mapping", fix)
        elif isinstance(built.value, dict):
            frame.merged.append(built)
        elif isinstance(built.value, list) and all(isinstance(item, dict) for item in built.value):
            children = built.node.children or {}
            frame.merged += [Built(item, children[at], built.cost) for at, item in enumerate(built.value)]
        else:
            fix = "give an alias of a mapping, `<<: *name`, or put the key in quotes"
            self._report(key.node, "yaml_merge", "`<<` takes a mapping or a list of mappings", fix)

    def _alias(self, event: ev.AliasEvent) -> Built:
        name = event.anchor
        if name not in self._anchors:
            fix = "define the anchor (`&name`) before it is used, or put a value that starts with `*` in quotes"
            self._halt(event, "yaml_alias", f"there is no anchor `{shortened(name)}`", fix)
        built = self._anchors[name]
        if built is None:
            fix = "write the value out"
            self._halt(event, "yaml_alias", f"the anchor `{shortened(name)}` holds itself", fix)
        if len(self._stack) + built.cost.height > self._limits.max_depth:
            self._too_deep(event)
        self._spend(event, built.cost.nodes, built.cost.characters)
        return Built(_copy(built.value), built.node.at(*_place(event)), built.cost)

    def _scalar(self, event: ev.ScalarEvent) -> Built:
        text = event.value
        node = Node(*_place(event), text)
        cost = Cost(1, len(text), 0)
        if "\0" in text:
            self._report(node, "yaml_nul", "the text holds a NUL character", "remove it")
        plain = event.style in (None, "")
        if event.tag is None and plain:
            return Built(self._plain(text, node), node, cost, merge=text == "<<")
        tag = (event.tag or "!").removeprefix(_YAML)
        if tag in ("!", "str"):
            return Built(text, node, cost)
        value = self._plain(text, node)
        kinds: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,)}
        fits = value is None if tag == "null" else type(value) in kinds.get(tag, ())
        if not fits:
            self._refuse_tag(event, event.tag)
        return Built(value, node, cost)

    def _plain(self, text: str, node: Node) -> Json:
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        number = _number(text)
        if number is None:
            return text
        if not math.isfinite(number):
            message = f"`{shortened(text)}` is not a number that JSON can carry"
            self._report(node, "yaml_number", message, f'put it in quotes: "{shortened(text)}"')
            return text
        return number

    def _spend(self, event: ev.Event, nodes: int, characters: int) -> None:
        self._spent.nodes += nodes
        self._spent.characters += characters
        if self._spent.nodes > self._limits.max_nodes or self._spent.characters > self._limits.max_characters:
            message = (
                f"the document holds more than {self._limits.max_nodes:,} values or "
                f"{self._limits.max_characters:,} characters once its aliases are expanded"
            )
            self._halt(event, "yaml_too_many", message, "split it, and use fewer aliases")

    def _too_deep(self, event: ev.Event) -> None:
        message = f"the document is nested deeper than {self._limits.max_depth} levels"
        self._halt(event, "yaml_too_deep", message, "flatten it")

    def _refuse_tag(self, event: ev.Event, tag: str | None) -> None:
        shown = (tag or "").replace(_YAML, "!!")
        message = f"the tag `{shortened(shown)}` is not allowed here"
        self._report(Node(*_place(event)), "yaml_tag", message, "remove the tag; write a plain value")

    def _report(self, node: Node, code: str, message: str, fix: str) -> None:
        path = dotted(_path_of(self._stack))
        self.problems.append(Problem(code, path, message, fix, node.line, node.column, file=self._file))
        if len(self.problems) >= MOST_PROBLEMS:
            message = f"the document has {MOST_PROBLEMS} problems or more; the rest was not read"
            raise Halt(Problem("yaml_too_many_problems", "", message, "", node.line, node.column))

    def _halt(self, event: ev.Event, code: str, message: str, fix: str) -> NoReturn:
        raise Halt(Problem(code, "", message, fix, *_place(event)))


def _place(event: ev.Event) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _key_fix(text: str | None) -> str:
    return "use a text as key" if text is None else f'put it in quotes: "{shortened(text)}"'


def _number(text: str) -> int | float | None:
    """The number that a plain scalar means; infinity for one that JSON readers cannot carry; None for text."""
    if not text or text[0] not in "+-.0123456789":
        return None
    if _INT.fullmatch(text):
        if len(text) > _LONGEST_INTEGER:
            return math.inf
        number = _integer(text)
        return number if -(_LARGEST // 2) <= number < _LARGEST else math.inf
    if _FLOAT.fullmatch(text):
        return float(text)
    return math.inf if _NOT_FINITE.fullmatch(text) else None


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    if digits[:2] in ("0o", "0x"):
        return int(text, 0)
    if digits.startswith("0") and _OCTAL.fullmatch(digits):
        return int(text, 8)
    return int(text)


def _copy(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _merge(frame: _Frame, merged: Built) -> None:
    """Take over the entries that the mapping does not have itself."""
    entries, children = frame.entries, frame.node.children
    theirs = merged.node.children or {}
    if entries is None or children is None or not isinstance(merged.value, dict):
        return
    for name, value in merged.value.items():
        if name not in entries:
            entries[name] = value
            children[name] = theirs.get(name, merged.node)


def _path_of(stack: list[_Frame]) -> Path:
    """The path of the value that is being read."""
    path: list[str | int] = []
    for frame in stack:
        if frame.items is not None:
            path.append(len(frame.items))
        elif frame.key is not None:
            path.append(frame.key.value if isinstance(frame.key.value, str) else frame.key.node.text or "?")
    return tuple(path)
