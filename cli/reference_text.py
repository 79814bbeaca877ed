"""Markdown for the reference pages."""

from collections.abc import Iterable, Sequence

_NOTE = "<!-- Made from the code by `make docs`. Change the code, not this page. -->"


def page(title: str, intro: str, *parts: str) -> str:
    """One whole page."""
    return "\n\n".join([f"# {title}", _NOTE, intro, *(part for part in parts if part)]) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a column without a single entry is left out, and the table where there are no rows."""
    kept = [list(row) for row in rows]
    shown = [at for at in range(len(columns)) if any(row[at] for row in kept)]
    if not kept:
        return ""
    lines = [[columns[at] for at in shown], ["---"] * len(shown)]
    lines += [[cell(row[at]) for at in shown] for row in kept]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: object) -> str:
    """Inline code, also where the text holds a backtick; nothing for nothing."""
    words = str(text)
    if not words:
        return ""
    return f"`` {words} ``" if "`" in words else f"`{words}`"


def block(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def sentence(text: str) -> str:
    """A docstring or description as one line."""
    return " ".join(text.split())


def plain(value: object) -> object:
    """30.0 as 30."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
