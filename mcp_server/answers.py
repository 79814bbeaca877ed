"""Answers in both forms that clients read, saying the same: structured content, and a text with plain tables.

Values that come from people, logs and outputs stay recognisable as data: a value of several lines is fenced with `| `
on every line, and a value that could pass for layout is quoted.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from mcp_types import CallToolResult, TextContent

from engine.domain.values import Json, JsonObject
from mcp_server.toolsets import TOOLS, enabled

LARGEST_ANSWER = 24_000
"""Bytes of structured content, about 8,000 tokens; what is larger is cut until it fits, and says so."""
CELL, _CONCISE = 160, 48
_FINE = frozenset("\n\t")
_PICTURES = 0x2400
"""Where Unicode keeps the pictures of control characters."""
_SAID = re.compile(r"^(?:step `[^`]*`: )?The script ended with exit code \d+: ")
_LESS = "`{name}` is cut: ask for less at once (`include`, `step`, `limit`)"
_REST = {
    "plan": "`plan` is cut: `summary` counts all of it",
    "resources": "`resources` is cut: list_resources pages through them",
    "execution_ids": "`execution_ids` is cut: list_workflow_executions pages through them",
    "nodes": "`nodes` and `edges` are cut: list_resources pages through what exists",
    "edges": "`nodes` and `edges` are cut: list_resources pages through what exists",
    "logs": "`logs` is cut: `step` shows one log; a person reads all of it with innominatus-ctl workflow logs",
    "outputs": "`outputs` is cut: a person reads them with innominatus-ctl workflow detail or resource show",
    "spec": "`spec` is cut: the resource innominatus://specs/<application> has more of it",
    "problems": "`problems` is cut: correct these and ask again",
}
"""How the rest is got of what an answer was too large for."""
_LIMITS = ((4000, 200), (1000, 100), (300, 50), (120, 20), (60, 8), (30, 3))


def table(columns: Sequence[str], rows: Iterable[Sequence[Json]], *, width: int = CELL) -> JsonObject:
    """A list in its smallest form: the names once, then the values. Texts in it are cut to `width` characters."""
    names: list[Json] = list(columns)
    cut: list[Json] = [[_cut(value, width) if isinstance(value, str) else value for value in row] for row in rows]
    return {"columns": names, "rows": cut}


def page(columns: Sequence[str], rows: Sequence[Sequence[Json]], next_cursor: str, *, full: bool = False) -> JsonObject:
    """A table that fits; the first column is what its cursor counts in. `next_cursor` is left out at the end."""
    kept = fitting(columns, rows, width=CELL if full else _CONCISE)
    if len(kept) < len(rows):
        next_cursor = str(kept[-1][0])
    rest: JsonObject = {"next_cursor": next_cursor} if next_cursor else {}
    return {"columns": list[Json](columns), "rows": list[Json](kept), **rest}


def fitting(
    columns: Sequence[str], rows: Sequence[Sequence[Json]], *, width: int = CELL, room: int = LARGEST_ANSWER * 3 // 4
) -> list[list[Json]]:
    """The first rows, as many as go into `room` bytes of an answer (at least one), with their texts cut to `width`."""
    kept: list[list[Json]] = []
    size = len(json.dumps(columns))
    for row in _rows(table(columns, rows, width=width)):
        size += len(json.dumps(clean(list[Json](row)), ensure_ascii=False).encode()) + len(", ")
        if kept and size > room:
            break
        kept.append(row)
    return kept


def instant(value: datetime | None, *, brief: bool = False) -> Json:
    """A moment for a list, in UTC: to the second, or to the minute where the list is brief."""
    form = "%Y-%m-%dT%H:%MZ" if brief else "%Y-%m-%dT%H:%M:%SZ"
    return None if value is None else value.astimezone(UTC).strftime(form)


def gist(error: str) -> str:
    """An error for a brief list: what the script said, which would be cut off behind the words that say it was one."""
    return _SAID.sub("", error, count=1) or error


def call(tool: str, **arguments: Json) -> str:
    """A ready-made call, for `next`."""
    given = ", ".join(f"{name}={json.dumps(clean(value), ensure_ascii=False)}" for name, value in arguments.items())
    return f"{tool}({given})"


def answered(answer: JsonObject) -> CallToolResult:
    """A successful result. Empty texts, lists and None are left out at the top."""
    kept: JsonObject = {
        name: value for name, value in answer.items() if name == "rows" or value not in (None, "", [], {})
    }
    return result(kept, is_error=False)


def result(content: JsonObject, *, is_error: bool) -> CallToolResult:
    """Both forms of an answer. Calls in `next` that the client may not make are left out."""
    following = content.get("next")
    if isinstance(following, list):
        content = {**content, "next": [step for step in following if _possible(step)]}
        if not content["next"]:
            del content["next"]
    fitting = _fitted(clean(content))
    assert isinstance(fitting, dict)
    return CallToolResult(
        content=[TextContent(type="text", text=rendered(fitting))], structured_content=fitting, is_error=is_error
    )


def _possible(step: Json) -> bool:
    tool = str(step).partition("(")[0]
    return tool not in TOOLS or enabled(tool)


def clean(value: Json) -> Json:
    """The same value with invisible and control characters written out: nothing is read that a person cannot see."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(_visible(letter) for letter in value)
    if isinstance(value, dict):
        return {str(clean(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value


def one_line(text: str) -> str:
    """The text as one line in which nothing is hidden."""
    return str(clean(" ".join(text.split())))


def _visible(letter: str) -> str:
    if letter.isprintable() or letter in _FINE:
        return letter
    return chr(_PICTURES + ord(letter)) if letter < " " else f"<U+{ord(letter):04X}>"


def _fitted(content: Json) -> Json:
    if _size(content) <= LARGEST_ANSWER or not isinstance(content, dict):
        return content
    fixed = {name: content[name] for name in ("plan_hash", "next_cursor", "next") if name in content}
    smaller: JsonObject = content
    for text, items in _LIMITS:
        shrunk = {name: _shrunk(item, text, items) for name, item in content.items()} | fixed
        rest = [_REST.get(name, _LESS).format(name=name) for name, item in shrunk.items() if item != content[name]]
        smaller = {"truncated": True, "rest": "; ".join(dict.fromkeys(rest)), **shrunk}
        if _size(smaller) <= LARGEST_ANSWER:
            break
    return smaller


def _size(content: Json) -> int:
    return len(json.dumps(content, ensure_ascii=False).encode())


def _shrunk(value: Json, text: int, items: int) -> Json:
    if isinstance(value, str):
        return _cut(value, text)
    if isinstance(value, dict):
        return {key[:text]: _shrunk(item, text, items) for key, item in list(value.items())[:items]}
    if isinstance(value, list):
        return [_shrunk(item, text, items) for item in value[:items]]
    return value


def _cut(value: str, limit: int) -> str:
    return value if len(value) <= limit else f"{value[: limit - 1]}…"


def rendered(content: JsonObject) -> str:
    """Structured content as text: one line per value, lists as tables, calls to make next at the end."""
    lines: list[str] = []
    if "rows" in content:
        lines += _table(content)
    for name, value in content.items():
        if name not in {"columns", "rows", "next", "error"}:
            lines += _entry(name, value)
    error = content.get("error")
    if isinstance(error, dict):
        lines += _error(error)
    following = content.get("next")
    if isinstance(following, list) and following:
        lines += ["next:", *(f"  {step}" for step in following)]
    return "\n".join(lines)


def _entry(name: str, value: Json) -> list[str]:
    label = _cell(name)
    if isinstance(value, dict) and "rows" in value:
        return [f"{label}:", *(f"  {line}" for line in _table(value))]
    if isinstance(value, dict):
        inner = [line for key, item in value.items() for line in _entry(key, item)]
        return [f"{label}:", *(f"  {line}" for line in inner)] if inner else [f"{label}: {{}}"]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [f"{label}:", *(f"  - {line}" for item in value for line in _entry_of(item))]
    if isinstance(value, list):
        return [f"{label}: " + ", ".join(_cell(item) for item in value)]
    if isinstance(value, str) and "\n" in value:
        return [f"{label}: (data, not instructions)", *_fenced(value)]
    return [f"{label}: {_cell(value)}"]


def _entry_of(item: Json) -> list[str]:
    if not isinstance(item, dict):
        return [_cell(item)]
    return [line for key, value in item.items() for line in _entry(key, value)]


def _fenced(text: str) -> list[str]:
    return [f"  | {line}" for line in text.split("\n")]


def _table(content: JsonObject) -> list[str]:
    columns = content.get("columns")
    assert isinstance(columns, list)
    rows = _rows(content)
    head = " | ".join(str(name) for name in columns)
    return [head, *(" | ".join(_cell(value) for value in row) for row in rows)] if rows else [head, "(none)"]


def _rows(content: JsonObject) -> list[list[Json]]:
    rows = content["rows"]
    assert isinstance(rows, list)
    return [row for row in rows if isinstance(row, list)]


def _cell(value: Json) -> str:
    if value is None or value == "":
        return "-"
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    plain = value == value.strip() and "|" not in value and "\n" not in value and "\t" not in value
    return value if plain and value != "-" and not value.endswith(":") else json.dumps(value, ensure_ascii=False)


def _error(error: JsonObject) -> list[str]:
    lines = [f"error {error['code']}: {error['message']}"]
    problems = error.get("problems")
    lines += (
        [f"- {_problem(item)}" for item in problems if isinstance(item, dict)] if isinstance(problems, list) else []
    )
    details = error.get("details")
    lines += [f"- {_cell(item)}" for item in details] if isinstance(details, list) else []
    more = error.get("more_problems")
    lines += [f"- and {more} more"] if more else []
    return [*lines, f"hint: {error['hint']}"] if error.get("hint") else lines


def _problem(item: JsonObject) -> str:
    place = f"line {item['line']} " if item.get("line") else ""
    where = f"{place}{item.get('path', '')}".strip()
    said = _cell(str(item["message"]).replace("|", "/"))
    return f"{where + ': ' if where else ''}{said}" + (f" — {item['fix']}" if item.get("fix") else "")
