"""Expressions in workflows: `{{ parameters.size }}`. Checked when a workflow is read, rendered when it runs.

Evaluated by Jinja2's sandbox with everything taken away that is not a look-up, an operator or one of a short list of
filters: no statements, no calls, no attributes. A value is never read as a template again.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from engine.domain import expression_filters as filters
from engine.domain import expression_syntax as syntax
from engine.domain.expression import NAMES, Expression, compiled
from engine.domain.expression_syntax import ExpressionError, Marked, Reference
from engine.domain.values import Json, JsonObject
from engine.errors import Invalid, Problem, nearest, quoted

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ExpressionProblem:
    """One thing wrong with an expression of a tree; `path` leads to the leaf."""

    path: Path
    message: str
    fix: str = ""


@lru_cache(maxsize=4096)
def parts(text: str) -> tuple[str | Expression, ...]:
    """A text's literals and compiled expressions. Raises ExpressionError."""
    return tuple(compiled(part.source) if isinstance(part, Marked) else part for part in syntax.split(text))


def leaves(value: Json, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text of a tree with its path, keys included (a key's path ends in the key)."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if "{{" in key or "{%" in key:
                yield (*path, key), key
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))


def problems(value: Json, *, names: Collection[str] = NAMES) -> list[ExpressionProblem]:
    """What is wrong with the expressions of a tree, as far as can be seen without values."""
    found: list[ExpressionProblem] = []
    for path, text in leaves(value):
        found.extend(ExpressionProblem(path, error.message, error.fix) for error in _text_errors(text, names))
    return found


def _text_errors(text: str, names: Collection[str]) -> Iterator[ExpressionError]:
    try:
        pieces = syntax.split(text)
    except ExpressionError as error:
        yield error
        return
    refused = False
    for piece in pieces:
        if not isinstance(piece, Marked) or (refused and syntax.is_continuation(piece.source)):
            continue
        try:
            expression = compiled(piece.source)
        except ExpressionError as error:
            refused = True
            yield error
            continue
        yield from _name_errors(expression, names)


def _name_errors(expression: Expression, names: Collection[str]) -> Iterator[ExpressionError]:
    for path, _ in expression.references:
        name = str(path[0])
        if name not in names:
            close = nearest(name, names)
            fix = f"Did you mean {quoted(close)}?" if close else f"Known names: {quoted(sorted(names))}."
            yield ExpressionError(f"`{name}` is not defined", fix + " For literal braces write `{{ '{{' }}`.")
        elif name == "steps" and len(path) == 1:
            yield ExpressionError(
                "`steps` needs the name of a step, written out", "Write `{{ steps.<name>.outputs.<output> }}`."
            )


def references(value: Json, *, guarded: bool = True) -> frozenset[Reference]:
    """Every path that the expressions of a tree read; expressions that cannot be read count for nothing.

    With `guarded=False` those that `default` or `is defined` guards are left out.
    """
    found: set[Reference] = set()
    for _, text in leaves(value):
        try:
            pieces = [piece for piece in syntax.split(text) if isinstance(piece, Marked)]
        except ExpressionError:
            continue
        for piece in pieces:
            try:
                read = compiled(piece.source).references
            except ExpressionError:
                continue
            found.update(path for path, is_guarded in read if guarded or not is_guarded)
    return frozenset(found)


def step_references(value: Json) -> frozenset[str]:
    """The names of the steps that a tree reads."""
    return frozenset(str(path[1]) for path in references(value) if path[0] == "steps" and len(path) > 1)


def parameter_references(value: Json, *, guarded: bool = True) -> frozenset[str]:
    """The names of the parameters that a tree reads."""
    paths = references(value, guarded=guarded)
    return frozenset(str(path[1]) for path in paths if path[0] == "parameters" and len(path) > 1)


def render(value: Json, scope: Mapping[str, Json], *, at: str = "") -> Json:
    """The tree with every expression replaced by its value. A leaf that is one expression keeps the value's type.

    `at` names the tree in error messages. Raises Invalid with every leaf that cannot be rendered.
    """
    failures: list[Problem] = []
    result = _rendered(value, scope, [filters.MAX_OUTPUT], (), failures)
    if failures:
        failures = [_below(problem, at) for problem in failures]
        raise Invalid("An expression has no value.", failures, code="expression")
    return result


def _below(problem: Problem, at: str) -> Problem:
    path = ".".join(part for part in (at, problem.path) if part)
    return Problem(problem.code, path, problem.message, problem.fix)


def _rendered(value: Json, scope: Mapping[str, Json], budget: list[int], path: Path, failures: list[Problem]) -> Json:
    if isinstance(value, str):
        if "{{" not in value and "{%" not in value:
            return value
        try:
            return _text(value, scope, budget)
        except ExpressionError as error:
            failures.append(Problem("expression", ".".join(map(str, path)), error.message, error.fix))
            return None
    if isinstance(value, dict):
        return _object(value, scope, budget, path, failures)
    if isinstance(value, list):
        return [_rendered(item, scope, budget, (*path, index), failures) for index, item in enumerate(value)]
    return value


def _object(
    value: JsonObject, scope: Mapping[str, Json], budget: list[int], path: Path, failures: list[Problem]
) -> JsonObject:
    result: JsonObject = {}
    for key, item in value.items():
        name = filters.text(_rendered(key, scope, budget, (*path, key), failures))
        if name in result:
            failures.append(Problem("expression", ".".join(map(str, (*path, key))), "Two keys come out the same"))
        result[name] = _rendered(item, scope, budget, (*path, key), failures)
    return result


def _text(text: str, scope: Mapping[str, Json], budget: list[int]) -> Json:
    pieces = parts(text)
    if len(pieces) == 1 and isinstance(pieces[0], Expression):
        return pieces[0].json(scope, budget)
    out: list[str] = []
    for piece in pieces:
        out.append(piece if isinstance(piece, str) else filters.text(piece.json(scope, budget)))
        filters.spend(budget, len(out[-1]))
    return "".join(out)


def condition_expression(text: str) -> Expression:
    """A condition, written as `{{ expression }}` or bare. Raises ExpressionError."""
    if "{{" not in text and "{%" not in text:
        return compiled(text.strip())
    pieces = parts(text.strip())
    if len(pieces) != 1 or not isinstance(pieces[0], Expression):
        raise ExpressionError("A condition is one expression", "Write `{{ parameters.size == 'small' }}`.")
    return pieces[0]


def condition(text: str, scope: Mapping[str, Json]) -> bool:
    """Whether a condition holds. Text counts only as `true`, `false` or nothing. Raises Invalid."""
    try:
        return _truth(condition_expression(text).json(scope, [filters.MAX_OUTPUT]))
    except ExpressionError as error:
        problem = Problem("expression", "if", error.message, error.fix)
        raise Invalid("The condition has no value.", [problem], code="expression") from None


def _truth(value: Json) -> bool:
    if not isinstance(value, str):
        return bool(value)
    known = {"true": True, "false": False, "": False}
    if value.strip().lower() not in known:
        raise ExpressionError("The condition is text, neither `true` nor `false`", "Compare it: `... == 'small'`.")
    return known[value.strip().lower()]
