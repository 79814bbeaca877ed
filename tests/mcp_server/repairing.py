"""A client that knows nothing but its wrong call and the error answer, and corrects the call in one step.

It has a few rules for the sentences that errors are made of, and none for a single error.
"""

import json
import re
from typing import cast

import yaml

from engine.domain.values import Json, JsonObject
from tests.mcp_server.conftest import Answer
from tests.mcp_server.wrong_calls import Arguments

Call = tuple[str, Arguments]
_NAME = re.compile(r"`([^`]*)`")
_MEANT = re.compile(r"(?:[Dd]id you mean|nearest types are|keep|[Ww]rite|such as|for example|for instance) `([^`]+)`")
_ADDED = re.compile(r"^[Aa]dd `([^`]+)`")
_CHOICES = re.compile(r"(?:must be one of|[Kk]nown:|[Kk]nown keys are|is not one of|[Ww]rite one of) (.+)")
_BOUND = re.compile(r"(?:at (?:least|most)|between) (-?\d+)")
_KEY = re.compile(r"is not an? (?:argument|key)|no parameter|[Uu]nknown (?:param|key)")
_NEXT = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_SAME = re.compile(r"<same arguments(?: without (\w+))?>")


def repaired(call: Call, answer: Answer) -> Call:
    """The call as the error says it should be."""
    tool, given = call[0], cast("JsonObject", json.loads(json.dumps(call[1])))
    before = json.dumps([tool, given])
    problems = answer.problems if "problems" in answer.error else []
    for found in sorted(problems, key=lambda one: _KEY.search(str(one["message"])) is None):
        _mend(given, {name: str(value) for name, value in found.items()})
    if not problems:
        tool = _renamed(tool, given, str(answer.error["message"]), str(answer.error["hint"]))
    if json.dumps([tool, given]) != before:
        return tool, dict(given)
    following = answer.data.get("next")
    return _followed(str(cast("list[str]", following)[0]), given) if following else (tool, dict(given))


def _renamed(tool: str, given: JsonObject, message: str, hint: str) -> str:
    """What the message names first is replaced by the first that the hint proposes, wherever it stands."""
    wrong, right = _NAME.search(message), _proposed(hint)
    if wrong is None or right is None:
        return tool
    if tool == wrong[1]:
        return str(right)
    for name, value in given.items():
        if value == wrong[1]:
            given[name] = right
    return tool


def _mend(given: JsonObject, found: dict[str, str]) -> None:
    path, message, fix = found["path"], found["message"], found.get("fix", "")
    if found.get("line") and ("YAML" in message or "anchor" in message or "stands here" in message):
        given["spec_yaml"] = _reread(str(given["spec_yaml"]), int(found["line"]), fix)
        return
    place = (
        [int(part) if part.isdecimal() else part for part in re.split(r"[.\[\]]+", path.rstrip("]"))] if path else []
    )
    document = _read(str(given["spec_yaml"])) if found.get("line") else None
    if document is not None:
        _mend_at(document, place, message, fix)
        given["spec_yaml"] = yaml.safe_dump(document, sort_keys=False)
        return
    roots = [given, given.get("inputs")]
    inside = next((root for root in roots if isinstance(root, dict) and place and place[0] in root), None)
    if inside is None and place[1:] and isinstance(given.get("inputs"), dict):
        place, inside = place[-1:], given["inputs"]  # a path within what the inputs ask for
    if inside is None:
        inside = given.setdefault("inputs", {}) if "is missing" in message else given
    _mend_at(inside, place, message, fix)


def _read(text: str) -> Json:
    return cast("Json", yaml.safe_load(text))


def _mend_at(root: Json, place: list[str | int], message: str, fix: str) -> None:
    added = _ADDED.match(fix)
    if added and "is missing" not in message:
        _merge(_at(root, place), _read(added[1]))
        return
    holder, last = _at(root, place[:-1]), place[-1] if place else ""
    if isinstance(holder, list) and isinstance(last, int):
        holder[last] = _value(holder[last], message, fix)
    elif not isinstance(holder, dict):
        return
    elif _KEY.search(message):
        value, right = holder.pop(str(last), None), _MEANT.search(fix)
        if right:
            holder.setdefault(right[1], value)
    elif "leave it out" in fix:
        holder.pop(str(last), None)
    elif "is missing" in message:
        holder.setdefault(str(last), 1 if "number" in fix else "text")
    else:
        new = _value(holder.get(str(last)), message, fix)
        _set(holder, str(last), new)


def _set(holder: JsonObject, name: str, new: Json) -> None:
    """A remedy that shows the key itself (`params: {…}`) brings its value."""
    shown = _read(new) if isinstance(new, str) and ": " in new and isinstance(holder.get(name), str) else None
    if new is not None or name in holder:
        holder[name] = shown.get(name, shown) if isinstance(shown, dict) else new


def _at(root: Json, place: list[str | int]) -> Json:
    for part in place:
        if isinstance(root, list) and isinstance(part, int):
            root = root[part]
        else:
            root = root.get(str(part)) if isinstance(root, dict) else None
    return root


def _merge(holder: Json, more: Json) -> None:
    if isinstance(holder, dict) and isinstance(more, dict):
        for name, value in more.items():
            holder.setdefault(name, value)


def _value(value: Json, message: str, fix: str) -> Json:
    """The value that is right, as far as it is told."""
    proposed = _proposed(fix) or _proposed(message)
    wrong = _NAME.search(message)
    if isinstance(proposed, str) and isinstance(value, str) and wrong and wrong[1] in value and "${" in proposed:
        return value.replace(wrong[1], proposed)
    bound = _BOUND.search(message)
    if bound and isinstance(value, str) and ("characters" in message or "length" in message):
        return value[: int(bound[1])]
    if bound:
        return int(bound[1])
    if proposed is not None:
        return proposed
    return _typed(value, message)


def _typed(value: Json, message: str) -> Json:
    digits = re.search(r"\d+", str(value))
    if "true or false" in message:
        return True
    if "number" in message:
        return int(digits[0]) if digits else value
    if "a list" in message:
        return [value]
    if "text" in message:
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return value


def _proposed(text: str) -> Json:
    """The first name that a sentence proposes, read as JSON where it is JSON."""
    meant = _MEANT.search(text) or re.search(r"write it like (\S+)", text)
    choices = _CHOICES.search(text)
    if meant is None and choices is None:
        return None
    first = meant[1] if meant else re.split(r", | or ", choices[1])[0].strip("`'.") if choices else ""
    try:
        return cast("Json", json.loads(first)) if first[:1] in {"{", "[", '"'} else first
    except ValueError:
        return first


def _reread(text: str, line: int, fix: str) -> str:
    """The text with the line mended in the way that the remedy names."""
    lines = text.split("\n")
    named = re.search(r"opened in line (\d+)", fix)
    at = min(int(named[1]) if named else line, len(lines)) - 1
    if "spaces" in fix:
        lines[at] = lines[at].replace("\t", "    ")
    elif "keep one" in fix:
        del lines[at]
    elif "backquote" in fix:
        lines = [each for each in lines if not each.startswith("```")]
    elif "in quotes" in fix:
        lines[at] = re.sub(r"(\*\w+)", r'"\1"', lines[at])
    elif "quote" in fix or "indent" in fix or "bracket" in fix:
        lines = _closed(lines, at)
    return "\n".join(lines)


def _closed(lines: list[str], at: int) -> list[str]:
    """The line named, or the one before it, with what is open closed; else indented as the one before."""
    for number in (at, at - 1):
        for mark, end in (('"', '"'), ("'", "'"), ("[", "]"), ("{", "}")):
            odd = lines[number].count(mark) % 2 if mark == end else lines[number].count(mark) > lines[number].count(end)
            if odd:
                return [*lines[:number], lines[number] + end, *lines[number + 1 :]]
    indent = len(lines[at - 1]) - len(lines[at - 1].lstrip())
    return [*lines[:at], " " * indent + lines[at].lstrip(), *lines[at + 1 :]]


def _followed(step: str, given: JsonObject) -> Call:
    """The call that `next` names, with what stands in `<…>` filled in from the call before."""
    match = _NEXT.fullmatch(step)
    assert match, step
    same = _SAME.search(match[2])
    arguments: Arguments = {name: value for name, value in given.items() if same and name != same[1]}
    for name, value in re.findall(r"(\w+)=(\"[^\"]*\"|<[^>]*>|[\w.]+)", _SAME.sub("", match[2])):
        arguments[name] = given.get(name) if value.startswith("<") else json.loads(value)
    return match[1], arguments
