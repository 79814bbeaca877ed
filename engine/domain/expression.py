"""One expression: parsed, checked against what is allowed, compiled once, evaluated by Jinja2's sandbox."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from jinja2 import StrictUndefined, Undefined, UndefinedError, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.parser import Parser
from jinja2.sandbox import SandboxedEnvironment

from engine.domain import expression_filters as filters
from engine.domain import expression_syntax as syntax
from engine.domain.expression_syntax import ExpressionError, Reference
from engine.domain.values import Json
from engine.errors import nearest, quoted

NAMES = frozenset({"parameters", "steps", "resource", "application", "environment", "execution", "actor", "config"})
"""The top-level names of every expression in a workflow."""

_RESULT = "innominatus_result"
_ALLOWED = (
    *(nodes.Const, nodes.Name, nodes.Getitem, nodes.Slice, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Keyword),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg, nodes.Pos),
    nodes.Concat,
)


class _Environment(SandboxedEnvironment):
    """Look-ups find items only, never attributes; an undefined value stays the first one that was missing."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, optimized=False, cache_size=0)
        self.globals.clear()
        self.filters = dict(filters.FILTERS)
        self.tests = {name: test for name, test in self.tests.items() if name in filters.TESTS}
        self.binop_table |= {
            "+": filters.add,
            "*": filters.multiply,
            "**": filters.power,
            "%": filters.modulo,
        }

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, dict):
            items = cast("dict[str, Any]", obj)
            key = str(argument)
            if key in items:
                return items[key]
        elif isinstance(obj, list | tuple | str) and type(argument) is int:
            entries = cast("list[Any]", obj)
            if -len(entries) <= argument < len(entries):
                return entries[argument]
        return self.undefined(obj=obj, name=str(argument))

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)


_ENVIRONMENT = _Environment()


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled expression. `shell_word` is True when its last filter is `sh`."""

    source: str
    references: tuple[tuple[Reference, bool], ...]
    shell_word: bool
    _run: Callable[[Mapping[str, Json]], Any]

    def value(self, scope: Mapping[str, Json]) -> Any:
        """The value, unchecked. Raises ExpressionError, which never quotes a value of the scope."""
        try:
            return self._run(scope)
        except UndefinedError:
            raise self._undefined(scope) from None
        except ZeroDivisionError:
            raise ExpressionError(f"`{self.source}` divides by zero") from None
        except SecurityError:
            raise ExpressionError(f"`{self.source}` is not allowed") from None
        except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
            raise ExpressionError(f"`{self.source}` cannot be evaluated ({type(error).__name__})") from None

    def json(self, scope: Mapping[str, Json], budget: list[int]) -> Json:
        value = self.value(scope)
        try:
            return filters.to_json(value, budget)
        except UndefinedError:
            raise self._undefined(scope) from None
        except RecursionError:
            raise ExpressionError(f"`{self.source}` is nested too deeply") from None

    def _undefined(self, scope: Mapping[str, Json]) -> ExpressionError:
        for path, _ in sorted(self.references, key=lambda reference: reference[1]):
            missing = _missing(path, scope)
            if missing is not None:
                at, known = missing
                parent = ".".join(str(part) for part in path[:at])
                close = [f"{parent}.{name}" if parent else name for name in nearest(str(path[at]), known)]
                some = ", ".join(f"`{name}`" for name in sorted(known)[:12])
                fix = f"Did you mean {quoted(close)}?" if close else (f"Known here: {some}." if some else "")
                if str(path[at]).split("-")[0] in known:
                    fix = "A subtraction needs spaces around its `-`."
                return ExpressionError(f"`{'.'.join(str(part) for part in path[: at + 1])}` is not defined", fix)
        return ExpressionError(
            f"A name in `{self.source}` is not defined", "Use `| default(...)`, or give an `if` its `else`."
        )


def _missing(path: Reference, scope: Mapping[str, Json]) -> tuple[int, Collection[str]] | None:
    here: Any = scope
    for at, part in enumerate(path):
        found = _ENVIRONMENT.getitem(dict(scope) if at == 0 else here, part)
        if isinstance(found, Undefined):
            return at, [str(key) for key in cast("Mapping[str, Any]", here)] if isinstance(here, Mapping) else []
        here = found
    return None


@lru_cache(maxsize=4096)
def compiled(source: str) -> Expression:
    """The expression, checked and compiled. Raises ExpressionError."""
    if not source:
        raise ExpressionError("`{{ }}` holds no expression", "For two literal braces write `{{ '{{' }}`.")
    if len(source) > syntax.MAX_SOURCE:
        raise ExpressionError(f"An expression has at most {syntax.MAX_SOURCE:,} characters")
    syntax.refuse_go(source)
    try:
        tree = _parse(source)
        references = syntax.references(tree)
        body: list[nodes.Node] = [nodes.Assign(nodes.Name(_RESULT, "store"), _rewritten(tree), lineno=1)]
        template = _ENVIRONMENT.from_string(nodes.Template(body, lineno=1))
    except (RecursionError, MemoryError, SyntaxError):
        raise ExpressionError("The expression is nested too deeply") from None

    def run(scope: Mapping[str, Json]) -> Any:
        context = template.new_context(dict(scope))
        for _ in template.root_render_func(context):
            pass
        return context.vars[_RESULT]

    return Expression(source, references, isinstance(tree, nodes.Filter) and tree.name == "sh", run)


def _parse(source: str) -> nodes.Expr:
    translated = syntax.to_jinja(source)
    try:
        parser = Parser(_ENVIRONMENT, translated, state="variable")
        tree = parser.parse_expression()
        rest = "" if parser.stream.eos else parser.stream.current.value
    except TemplateError as error:
        raise ExpressionError(
            f"`{source}` cannot be read: {error.message}", "Text needs quotes: `{{ parameters.size == 'small' }}`."
        ) from None
    if rest:
        raise ExpressionError(f"`{source}` cannot be read: `{rest}` follows a complete expression")
    tree.set_environment(_ENVIRONMENT)
    if syntax.depth(tree) > syntax.MAX_DEPTH:
        raise ExpressionError("The expression is nested too deeply")
    for node in [tree, *tree.find_all(nodes.Node)]:
        _check(node)
    return tree


def _check(node: nodes.Node) -> None:
    if isinstance(node, nodes.Call):
        raise ExpressionError(
            "There are no functions in expressions",
            f"Use a filter: `{{{{ value | name }}}}` with {quoted(sorted(filters.FILTERS))}.",
        )
    if not isinstance(node, _ALLOWED):
        raise ExpressionError(f"`{type(node).__name__}` is not allowed in an expression")
    if isinstance(node, nodes.Filter) and node.name not in filters.FILTERS:
        close = nearest(node.name, filters.FILTERS)
        raise ExpressionError(
            f"There is no filter `{node.name}`",
            f"Did you mean {quoted(close)}?" if close else f"Filters: {quoted(sorted(filters.FILTERS))}.",
        )
    if isinstance(node, nodes.Test) and node.name not in filters.TESTS:
        raise ExpressionError(f"There is no test `{node.name}`", f"Tests: {quoted(sorted(filters.TESTS))}.")
    if isinstance(node, nodes.Name) and (node.name == "self" or node.name.startswith("_")):
        raise ExpressionError(f"`{node.name}` is not defined", f"Known names: {quoted(sorted(NAMES))}.")


def _rewritten(node: nodes.Expr) -> nodes.Expr:
    """`a ~ b` as the bounded filter `join` (Jinja2's own has no limit), and the older `steps.x.output` as `outputs`."""
    for field, value in list(node.iter_fields()):
        if isinstance(value, nodes.Expr):
            setattr(node, field, _rewritten(value))
        elif isinstance(value, list):
            entries = cast("list[Any]", value)
            setattr(node, field, [_rewritten(v) if isinstance(v, nodes.Expr) else _in_helper(v) for v in entries])
    if syntax.is_older_output(node):
        return nodes.Getitem(node.node, nodes.Const("outputs"), "load", lineno=node.lineno)
    if isinstance(node, nodes.Concat):
        whole = nodes.List(node.nodes, lineno=node.lineno)
        joined = nodes.Filter(whole, "join", [], [], None, None, lineno=node.lineno)
        joined.set_environment(_ENVIRONMENT)
        return joined
    return node


def _in_helper(node: Any) -> Any:
    for field in ("key", "value", "expr"):  # of Pair, Keyword and Operand
        inner = getattr(node, field, None)
        if isinstance(inner, nodes.Expr):
            setattr(node, field, _rewritten(inner))
    return node
