"""A client without a mind: it knows what a person wants, sees what tools answer, and follows a few rules.

1. What can be tried is tried first, and applied only if the person agrees to what it destroys.
2. `next` is followed: a call that changes something before one that looks, and none that cannot be filled in.
3. What is mended where a problem says so is called again; so is a call whose answer was lost, with its key.
4. An id that is not known is looked up in the list of such things. A list is read to its end.
"""

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from mcp_types import Tool

from tests.mcp_server.conftest import Answer

Arguments = dict[str, object]
Door = Callable[[str, Arguments], Awaitable[Answer]]

LISTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "workflow_name": ("list_golden_paths", ("made_by", "name")),
    "execution_id": ("list_workflow_executions", ("id",)),
    "resource_id": ("list_resources", ("id",)),
}
"""Where values of an argument are listed, and in which columns."""
_MOST_CALLS = 12


class Lost(Exception):
    """The connection broke before the answer came."""


class Stuck(AssertionError):
    """No answer leads on."""


@dataclass(frozen=True)
class Blank:
    """A `<...>` in a call of `next`: to be filled in by the client."""

    words: str


@dataclass(frozen=True)
class Call:
    tool: str
    arguments: Arguments

    @property
    def trial(self) -> bool:
        return self.arguments.get("dry_run") is True


@dataclass(frozen=True)
class Wish:
    """What a person wants: a tool, what they know of its arguments, and what they wait for.

    `row` is what they know of a thing whose id they do not know, `where` what narrows the list of such things. `until`
    is a status or a part of an answer; empty: the whole of the first answer. `mend` is what they do about a cause
    outside of the platform.
    """

    tool: str
    given: Mapping[str, object] = field(default_factory=dict[str, object])
    until: str = ""
    row: Mapping[str, object] = field(default_factory=dict[str, object])
    where: Mapping[str, object] = field(default_factory=dict[str, object])
    agrees: bool = False
    corrected: Mapping[str, object] = field(default_factory=dict[str, object])
    mend: Callable[[], None] | None = None


class RuleClient:
    def __init__(self, tools: list[Tool], door: Door) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._door = door
        self._made: list[Call] = []
        self.answers: list[Answer] = []

    @property
    def calls(self) -> int:
        return len(self._made)

    @property
    def size(self) -> int:
        """Bytes of text that were read."""
        return sum(len(answer.text.encode()) for answer in self.answers)

    async def fulfil(self, wish: Wish) -> Answer:
        """The answer that says that it is done, or what the person has to agree to first. Raises Stuck."""
        call = await self._first(wish)
        while True:
            answer = await self._make(call)
            if self._ends(wish, call, answer):
                return answer
            call = self._following(wish, call, answer)

    async def _first(self, wish: Wish) -> Call:
        given = dict(wish.given)
        for name in self._schema(wish.tool).get("required", ()):
            if name not in given:
                given[name] = await self._looked_up(wish, name)
        return self._ready(Call(wish.tool, given), trial=True)

    async def _looked_up(self, wish: Wish, argument: str) -> object:
        tool, columns = LISTS[argument]
        known = self._schema(tool)["properties"]
        call = Call(tool, {name: value for name, value in wish.where.items() if name in known})
        while True:
            answer = await self._make(call)
            for row in answer.every_row():
                if wish.row.items() <= row.items():
                    return next(row[name] for name in columns if name in row)
            call = _next_page(call, answer) or self._chosen(
                answer, [c for c in self._calls(wish, answer) if self._looks(c)]
            )

    async def _make(self, call: Call) -> Answer:
        if len(self._made) >= _MOST_CALLS:
            raise Stuck(f"{call} would be call {_MOST_CALLS + 1}")
        self._made.append(call)
        try:
            answer = await self._door(call.tool, call.arguments)
        except Lost:
            return await self._make(call)
        self.answers.append(answer)
        return answer

    def _ends(self, wish: Wish, call: Call, answer: Answer) -> bool:
        if answer.is_error:
            return False
        if call.trial:
            return _destroys(answer) and not wish.agrees
        if not wish.until:
            return _next_page(call, answer) is None
        return wish.until in (answer.data.get("status"), answer.data.get("state")) or bool(answer.data.get(wish.until))

    def _following(self, wish: Wish, call: Call, answer: Answer) -> Call:
        if mended := _mended(call, answer):
            return mended
        if not wish.until and (page := _next_page(call, answer)):
            return page
        possible = self._calls(wish, answer)
        chosen = self._chosen(answer, sorted(possible, key=self._looks))
        if chosen.tool == "retry" and wish.mend is not None:
            wish.mend()
        return chosen

    def _chosen(self, answer: Answer, possible: list[Call]) -> Call:
        for call in possible:
            if call not in self._made or "wait_seconds" in call.arguments:
                return call
        raise Stuck(f"nothing leads on from:\n{answer.text}")

    def _calls(self, wish: Wish, answer: Answer) -> list[Call]:
        """What `next` names and this client can do."""
        named = [call for step in answer.next if (call := parsed(step))]
        assert {call.tool for call in named} <= self._tools.keys(), f"`next` names what is not offered:\n{answer.text}"
        found = [self._filled(wish, call) for call in named]
        return [call for call in found if call and (call.tool != "retry" or wish.mend)]

    def _filled(self, wish: Wish, call: Call) -> Call | None:
        before = next((made.arguments for made in reversed(self._made) if made.tool == call.tool), Arguments())
        filled: Arguments = {}
        for name, value in call.arguments.items():
            if not isinstance(value, Blank):
                filled[name] = value
            elif value.words == "the same" and name in before:
                filled[name] = before[name]
            elif value.words == "corrected" and name in wish.corrected:
                filled[name] = wish.corrected[name]
            else:
                return None
        if call.tool == wish.tool:
            filled |= {
                name: value for name, value in wish.given.items() if name not in filled or name == "wait_seconds"
            }
        return self._ready(Call(call.tool, filled), trial=call.trial)

    def _ready(self, call: Call, *, trial: bool) -> Call:
        """The call as a trial, or with a key to repeat it by; where its tool knows these."""
        known = self._schema(call.tool)["properties"]
        if trial and "dry_run" in known:
            return Call(call.tool, {**call.arguments, "dry_run": True})
        keyed = {"idempotency_key": uuid.uuid4().hex} if "idempotency_key" in known else {}
        return Call(call.tool, {**call.arguments, **keyed})

    def _looks(self, call: Call) -> bool:
        hints = self._tools[call.tool].annotations
        return hints is not None and bool(hints.read_only_hint)

    def _schema(self, tool: str) -> dict[str, dict[str, object]]:
        return cast("dict[str, dict[str, object]]", self._tools[tool].input_schema)


def parsed(step: str) -> Call | None:
    """A call that stands in `next`; None for what is for people."""
    found = re.fullmatch(r"([a-z_]+)\((.*)\)", step)
    return Call(found[1], dict(_arguments(found[2]))) if found else None


def _arguments(text: str) -> Iterator[tuple[str, object]]:
    while text:
        name, _, text = text.partition("=")
        if text.startswith("<"):
            words, _, text = text[1:].partition(">")
            yield name, Blank(words)
        else:
            value, end = cast("tuple[object, int]", json.JSONDecoder().raw_decode(text))
            yield name, value
            text = text[end:]
        text = text.removeprefix(", ")


def _next_page(call: Call, answer: Answer) -> Call | None:
    cursor = answer.data.get("next_cursor")
    fresh = cursor and answer.data.get("rows") and cursor != call.arguments.get("cursor")
    return Call(call.tool, {**call.arguments, "cursor": cursor}) if fresh else None


def _destroys(answer: Answer) -> bool:
    return "plan" in answer.data and any(row["action"] in {"delete", "replace"} for row in answer.rows("plan"))


def _mended(call: Call, answer: Answer) -> Call | None:
    """The call with every wrong name replaced where a problem tells the right one."""
    arguments = call.arguments
    for problem in _problems(answer):
        right = _quoted(problem.get("fix"))[:1]
        for wrong in _quoted(problem.get("message")):
            if right and wrong != right[0]:
                arguments = _replaced(arguments, problem, wrong, right[0])
    return Call(call.tool, arguments) if arguments != call.arguments else None


def _problems(answer: Answer) -> list[dict[str, object]]:
    if not answer.is_error:
        return answer.rows("problems") if "problems" in answer.data else []
    told = cast("list[dict[str, object]]", answer.error.get("problems", []))
    return [*told, {"message": answer.error["message"], "fix": answer.error["hint"]}]


def _quoted(text: object) -> list[str]:
    return re.findall(r"`([^`]+)`", str(text))


def _replaced(arguments: Arguments, problem: Mapping[str, object], wrong: str, right: str) -> Arguments:
    """In the line of the document that the problem names, or where it is the whole value."""
    return {name: _corrected(value, problem, wrong, right) for name, value in arguments.items()}


def _corrected(value: object, problem: Mapping[str, object], wrong: str, right: str) -> object:
    if isinstance(value, dict):
        files = cast("dict[str, object]", value)
        return files | {
            name: _corrected(files[name], problem, wrong, right) for name in files if name == problem.get("file")
        }
    if not isinstance(value, str):
        return value
    line = problem.get("line")
    if not isinstance(line, int):
        return right if value == wrong else value
    lines = value.split("\n")
    lines[line - 1] = re.sub(rf"(?<![\w-]){re.escape(wrong)}(?![\w-])", right, lines[line - 1])
    return "\n".join(lines)
