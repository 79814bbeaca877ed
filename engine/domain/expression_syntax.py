"""Where expressions stand in a text, and how their notation becomes Jinja2's."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

from jinja2 import nodes

MAX_SOURCE = 4_000
"""Characters of one expression."""
MAX_DEPTH = 60
"""Nesting of one expression's syntax tree; the compiler itself gives up not far above."""

_STRING = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_BRACES = re.compile(rf"{_STRING}|[{{}}]", re.DOTALL)
_STATEMENT = re.compile(
    r"\{%[-+]?\s*(?:if|elif|else|endif|for|endfor|set|endset|macro|call|filter|include|import|from|extends|block|raw|with)\b"
)
_TOKENS = re.compile(
    rf"(?P<string>{_STRING})|(?P<number>\d\w*(?:\.\d\w*)?)|(?P<name>[^\W\d]\w*)"
    r"|(?P<space>\s+)|\.\s*(?P<segment>\w+(?:-+\w+)*)|(?P<other>.)",
    re.DOTALL,
)
_OPERATORS = frozenset({"and", "or", "not", "in", "is", "if", "else"})
_BLOCKS = frozenset({"if", "range", "with", "define", "block"})
_CONTINUATIONS = frozenset({"else", "end"})
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_GO_CALL = re.compile(rf"(?P<call>eq|ne|lt|le|gt|ge)\s+(?P<left>{_STRING}|[\w.-]+)\s+(?P<right>{_STRING}|[\w.-]+)\s*$")
_GO_FUNCTIONS = frozenset({"template", "include", "printf", "quote", "toYaml", "index", "len", "print", "println"})


class ExpressionError(Exception):
    """An expression that cannot be read or evaluated; `fix` says what to write instead."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Marked:
    """The inside of one `{{ }}`, without the spaces around it."""

    source: str


def split(text: str) -> tuple[str | Marked, ...]:
    """The literal parts and expressions of a text, in order. Raises ExpressionError for `{% %}` and an open `{{`."""
    if found := _STATEMENT.search(text):
        raise ExpressionError(
            f"`{found.group()} ...` is a statement; only expressions `{{{{ ... }}}}` are allowed",
            "Write `{{ a if condition else b }}`, or put the condition into the step's `if`.",
        )
    parts: list[str | Marked] = []
    position = 0
    while (start := text.find("{{", position)) >= 0:
        end = _closing(text, start + 2)
        if start > position:
            parts.append(text[position:start])
        parts.append(Marked(_inside(text[start + 2 : end])))
        position = end + 2
    if position < len(text):
        parts.append(text[position:])
    return tuple(parts)


def _inside(text: str) -> str:
    """Without the spaces around it, but `{{ -1 }}` stays told apart from Go's `{{- 1 }}`."""
    bare = text.strip()
    return f"({bare})" if bare.startswith("-") and not text.startswith("-") else bare


def _closing(text: str, position: int) -> int:
    depth = 0
    for found in _BRACES.finditer(text, position):
        if found.group() == "{":
            depth += 1
        elif found.group() == "}":
            if depth == 0:
                if text[found.start() : found.start() + 2] == "}}":
                    return found.start()
                break
            depth -= 1
    raise ExpressionError("`{{` is never closed", "Close it with `}}`; for two literal braces write `{{ '{{' }}`.")


def refuse_go(source: str) -> None:
    """Raise ExpressionError with the rewrite when `source` is a statement or call of a Go template."""
    if source.startswith("-") or re.search(r"\s-$", source):
        bare = source.strip("-").strip()
        raise ExpressionError("`{{-` and `-}}` belong to Go templates", f"Write `{{{{ {_undotted(bare)} }}}}`.")
    word, _, rest = source.partition(" ")
    if word == "if":
        raise ExpressionError(
            "`{{ if }}` is a statement of Go templates; only expressions are allowed",
            f"Write `{{{{ 'a' if {_go_condition(rest)} else 'b' }}}}`, or put the condition into the step's `if`.",
        )
    if word in _BLOCKS:
        raise ExpressionError(
            f"`{{{{ {word} }}}}` is a statement of Go templates; only expressions are allowed",
            "For a list use `| join(', ')` or `| tojson`, or loop in the script over the file `$INNOMINATUS_INPUTS`.",
        )
    if word in _CONTINUATIONS and not rest.lstrip().startswith((".", "[", "|")):
        raise ExpressionError(
            f"`{{{{ {word} }}}}` is a statement of Go templates; only expressions are allowed",
            "Write `{{ a if condition else b }}`.",
        )
    if found := _GO_CALL.match(source):
        raise ExpressionError(
            f"`{found['call']}` is a function of Go templates", f"Write `{{{{ {_go_condition(source)} }}}}`."
        )
    if word in _GO_FUNCTIONS and rest[:1] in {".", '"', "'", "("}:
        raise ExpressionError(
            f"`{word}` is a function of Go templates", "Use a filter, for example `{{ parameters.name | lower }}`."
        )


def is_continuation(source: str) -> bool:
    """True for `else ...` and `end`, whose opening statement has been reported already."""
    return source.strip("- ").split(" ", 1)[0] in _CONTINUATIONS


def _undotted(text: str) -> str:
    return re.sub(r"(?<![\w\])])\.(?=[A-Za-z_])", "", text)


def _go_condition(text: str) -> str:
    found = _GO_CALL.match(text.strip())
    if not found:
        return _undotted(text.strip()) or "condition"
    return f"{_undotted(found['left'])} {_COMPARISONS[found['call']]} {_undotted(found['right'])}"


def to_jinja(source: str) -> str:
    """Dotted paths become item lookups, hyphens and digits included; a leading dot is dropped; strings stay.

    A hyphen between two word characters after a dot belongs to the name: a subtraction needs spaces around it.
    """
    return "".join(_translated(source))


def _translated(source: str) -> Iterator[str]:
    operand = False
    for token in _TOKENS.finditer(source):
        text = token.group()
        if token["segment"]:
            name = token["segment"]
            if not operand:
                yield name
            elif name.isdecimal():
                yield f"[{int(name)}]"
            else:
                yield f'["{name}"]'
            operand = True
            continue
        yield text
        if token["space"]:
            operand = False
        elif token["name"]:
            operand = text not in _OPERATORS
        else:
            operand = bool(token["string"] or token["number"]) or text in {")", "]", "}"}


Reference = tuple[str | int, ...]


def references(tree: nodes.Node) -> tuple[tuple[Reference, bool], ...]:
    """Every path the tree reads, as far as it is written out; True where `default` or `is defined` guards it."""
    found: list[tuple[Reference, bool]] = []
    _collect(tree, found, guarded=False)
    return tuple(found)


def _collect(node: nodes.Node, found: list[tuple[Reference, bool]], *, guarded: bool) -> None:
    path = _path(node)
    if path is not None:
        found.append((path, guarded))
        return
    guards = (isinstance(node, nodes.Filter) and node.name == "default") or (
        isinstance(node, nodes.Test) and node.name in {"defined", "undefined"}
    )
    for index, child in enumerate(node.iter_child_nodes()):
        _collect(child, found, guarded=guards and index == 0)


def _path(node: nodes.Node) -> Reference | None:
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        inner = _path(node.node)
        key: object = node.arg.value
        if inner is not None and isinstance(key, str | int):
            return (*inner, "outputs" if is_older_output(node) else key)
    return None


def is_older_output(node: nodes.Node) -> TypeGuard[nodes.Getitem]:
    """True for `steps.<name>.output`, which earlier workflows write for `outputs`."""
    if not (isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and node.arg.value == "output"):
        return False
    step = node.node
    return isinstance(step, nodes.Getitem) and isinstance(step.node, nodes.Name) and step.node.name == "steps"


def depth(tree: nodes.Node) -> int:
    """How deep the tree is; found without recursion."""
    deepest, stack = 0, [(tree, 1)]
    while stack:
        node, level = stack.pop()
        deepest = max(deepest, level)
        stack.extend((child, level + 1) for child in node.iter_child_nodes())
    return deepest
