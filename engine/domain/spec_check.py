"""Holds a document against a table of rules and says everything that differs, each with its place and a fix."""

import re
from dataclasses import dataclass, field, replace

from engine.domain.spec_shape import Anything, Either, Flag, Items, Record, Rule, Table, Text, Whole
from engine.domain.values import Json, JsonObject
from engine.domain.yaml_path import Path, shortened
from engine.domain.yaml_source import Source
from engine.errors import Problem, Severity, nearest, quoted

MOST_PROBLEMS = 100
MOST_WARNINGS = 1000
_LONGEST_NAME = 100


class TooMany(Exception):
    """There is no use in naming more problems."""


@dataclass(slots=True)
class Findings:
    """The problems of one source, as they are found. `error` raises TooMany when there are more than a person reads."""

    source: Source
    strict: bool
    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])

    def error(self, code: str, path: Path, message: str, fix: str = "") -> None:
        self.problems.append(self.source.problem(code, path, message, fix))
        if len(self.problems) >= MOST_PROBLEMS:
            raise TooMany

    def warn(self, code: str, path: Path, message: str, fix: str = "") -> None:
        if len(self.warnings) < MOST_WARNINGS:
            problem = self.source.problem(code, path, message, fix)
            self.warnings.append(replace(problem, severity=Severity.WARNING))


def check(findings: Findings, rule: Rule, value: Json, path: Path = ()) -> None:
    """Add to `findings` every difference between `value` and `rule`."""
    match rule:
        case Text():
            _text(findings, rule, value, path)
        case Whole():
            _whole(findings, rule, value, path)
        case Flag():
            if not isinstance(value, bool):
                _wrong_type(findings, value, path, "`true` or `false`", "write `true` or `false`, without quotes")
        case Items():
            _items(findings, rule, value, path)
        case Table():
            _table(findings, rule, value, path)
        case Record():
            _record(findings, rule, value, path)
        case Either():
            check(findings, next((one for one in rule.rules if _takes(one, value)), rule.rules[0]), value, path)
        case Anything():
            pass


def _takes(rule: Rule, value: Json) -> bool:
    match rule:
        case Text():
            return isinstance(value, str)
        case Whole():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Items():
            return isinstance(value, list)
        case Table() | Record():
            return isinstance(value, dict)
        case _:
            return True


def _text(findings: Findings, rule: Text, value: Json, path: Path) -> None:
    if not isinstance(value, str):
        _not_text(findings, rule, value, path)
        return
    if rule.words and value not in rule.words:
        close = nearest(value[:_LONGEST_NAME], rule.words, most=1)
        fix = f"write `{close[0]}`" if close else f"write one of {quoted(rule.words)}"
        message = f"`{shortened(value)}` is not one of {quoted(rule.words)}"
        findings.error("invalid_value", path, message if len(rule.words) > 1 else f"must be {quoted(rule.words)}", fix)
    elif len(value) < rule.least:
        findings.error("invalid_value", path, "must not be empty", "write a value, or remove the key")
    elif rule.pattern and not rule.pattern.fullmatch(value):
        fix = _name_fix(rule.pattern, value) or (f"write for example `{rule.example}`" if rule.example else "")
        findings.error("invalid_value", path, f"`{shortened(value)}` must be {rule.must}", fix)


def _name_fix(pattern: re.Pattern[str], value: str) -> str:
    """The nearest name that would be right, where lower case and `-` are all it takes."""
    guess = re.sub(r"[^a-z0-9]+", "-", value[:200].lower())[:63].strip("-")
    return f"write for example `{guess}`" if guess and pattern.fullmatch(guess) else ""


def _not_text(findings: Findings, rule: Text, value: Json, path: Path) -> None:
    as_written = findings.source.text(path)
    if value is None or as_written is None:
        example = f", for example `{rule.example}`" if rule.example else ""
        remedy = f"write a text{example}" if value is not None else f"write a text{example}, or remove the key"
        _wrong_type(findings, value, path, "text", remedy)
    elif rule.scalars_in_dialect and not findings.strict:
        message = f"is {_kind(value)}, where Score wants text; taken as written"
        findings.warn("dialect", path, message, f'put it in quotes: "{shortened(as_written)}"')
    else:
        _wrong_type(findings, value, path, "text", f'put it in quotes: "{shortened(as_written)}"')


def _whole(findings: Findings, rule: Whole, value: Json, path: Path) -> None:
    example = f"write a whole number without quotes, such as `{rule.example}`"
    if isinstance(value, bool) or not isinstance(value, int | float):
        fix = f"remove the quotes: {value}" if isinstance(value, str) and re.fullmatch("[0-9]{1,5}", value) else example
        _wrong_type(findings, value, path, "a whole number", fix)
    elif value != int(value):
        _wrong_type(findings, value, path, "a whole number", example)
    elif not rule.minimum <= value <= rule.maximum:
        message = f"{value:g} is not between {rule.minimum} and {rule.maximum}"
        findings.error("out_of_range", path, message, example)


def _items(findings: Findings, rule: Items, value: Json, path: Path) -> None:
    if not isinstance(value, list):
        _wrong_type(findings, value, path, "a list", f"write a list such as `{rule.example}`" if rule.example else "")
        return
    for index, item in enumerate(value):
        check(findings, rule.item, item, (*path, index))


def _table(findings: Findings, rule: Table, value: Json, path: Path) -> None:
    if not isinstance(value, dict):
        _wrong_type(findings, value, path, "a mapping", _mapping_fix(value, rule.example))
        return
    if len(value) < rule.least:
        findings.error("missing_key", path, f"needs at least one {rule.noun}", f"write for example `{rule.example}`")
    for name, item in value.items():
        entry = (*path, name)
        if rule.key.pattern and not rule.key.pattern.fullmatch(name):
            fix = _name_fix(rule.key.pattern, name) or f"write for example `{rule.key.example}`"
            message = f"the name of the {rule.noun}, `{shortened(name)}`, must be {rule.key.must}"
            findings.error("invalid_name", entry, message, fix)
        check(findings, rule.value, item, entry)


def _record(findings: Findings, rule: Record, value: Json, path: Path) -> None:
    if not isinstance(value, dict):
        keys = quoted(name for name, known in rule.fields.items() if known.required)
        fix = f"write a mapping{' with ' + keys if keys else ''}{_colon_missing(rule, value)}"
        _wrong_type(findings, value, path, "a mapping", fix if value is not None else f"{fix}, or remove the key")
        return
    for name, item in value.items():
        known = rule.fields.get(name)
        if known is None or (known.dialect and findings.strict):
            if known or not rule.open:
                _unknown_key(findings, rule, name, (*path, name))
            continue
        if known.dialect:
            code, effect = ("ignored", " and has no effect") if known.ignored else ("dialect", "; it was translated")
            message = f"`{name}` is not a key of Score{effect}"
            findings.warn(code, (*path, name), message, known.dialect)
        check(findings, known.rule, item, (*path, name))
    for name, known in rule.fields.items():
        if known.required and name not in value:
            example = _example(known.rule, name)
            findings.error("missing_key", path, f"{_of(rule)} needs the key `{name}`", f"add `{example}`")
    _choices(findings, rule, value, path)


def _colon_missing(rule: Record, value: Json) -> str:
    """`name shop` is what is left of `name: shop`."""
    key, space, rest = value.partition(" ") if isinstance(value, str) else ("", "", "")
    known = space and key in rule.fields and "\n" not in rest
    return f", for example `{key}: {shortened(rest.strip())}`" if known else ""


def _choices(findings: Findings, rule: Record, value: JsonObject, path: Path) -> None:
    one, some = rule.exactly_one, rule.at_least_one
    given = [name for name in one if name in value]
    if one and len(given) != 1:
        what = f"{quoted(given)} exclude each other" if given else f"{_of(rule)} needs one of {quoted(one)}"
        findings.error("choose_one", path, what, f"write exactly one of {quoted(one)}")
    if some and not any(name in value for name in some):
        findings.error("choose_one", path, f"{_of(rule)} needs one of {quoted(some)}", f"add {quoted(some[:1])}")


def _unknown_key(findings: Findings, rule: Record, name: str, path: Path) -> None:
    own = [known for known, one in rule.fields.items() if not one.dialect]
    dialect = rule.fields.get(name)
    close = nearest(name[:_LONGEST_NAME], own, most=1)
    if dialect:
        fix = dialect.dialect
    elif name in rule.hints:
        fix = rule.hints[name]
    else:
        fix = f"did you mean `{close[0]}`?" if close else f"known keys are {quoted(own)}"
    findings.error("unknown_key", path, f"`{shortened(name)}` is not a key of {_article(rule.noun)}", fix)


def _wrong_type(findings: Findings, value: Json, path: Path, expected: str, fix: str) -> None:
    findings.error("wrong_type", path, f"must be {expected}, not {_kind(value)}", fix)


def _kind(value: Json) -> str:
    kinds: dict[type, str] = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list"}
    return "empty" if value is None else kinds.get(type(value), "a mapping")


def _mapping_fix(value: Json, example: str) -> str:
    fix = f"write for example `{example}`" if example else "write a mapping"
    return f"{fix}, or remove the key" if value is None else fix


def _of(rule: Record) -> str:
    return _article(rule.noun)


def _article(noun: str) -> str:
    return noun if noun.startswith("`") else f"{'an' if noun[0] in 'aeioHAEIOU' else 'a'} {noun}"


def _example(rule: Rule, name: str) -> str:
    match rule:
        case Text():
            return f"{name}: {rule.words[0] if rule.words else rule.example or '…'}"
        case Whole() | Items():
            return f"{name}: {rule.example}"
        case Table():
            return rule.example or f"{name}: {{}}"
        case Record():
            inner = ", ".join(_example(known.rule, key) for key, known in rule.fields.items() if known.required)
            return f"{name}: {{{inner}}}"
        case _:
            return f"{name}: …"
