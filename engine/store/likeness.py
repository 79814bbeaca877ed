"""Parts of names, as `contains(..., escape=ESCAPE)` looks for them."""

ESCAPE = "/"


def escaped(part: str) -> str:
    """The text, whose `%` and `_` stand for nothing but themselves."""
    return part.replace(ESCAPE, ESCAPE * 2).replace("%", f"{ESCAPE}%").replace("_", f"{ESCAPE}_")
