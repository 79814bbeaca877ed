"""Texts from outside that no database can hold: they name nothing."""

from engine.errors import Invalid


def storable(text: str) -> bool:
    """False for a NUL byte or half a surrogate pair."""
    return "\0" not in text and _encodes(text)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked(**filters: str | None) -> None:
    """Raises Invalid for a filter that cannot be looked for."""
    for name, text in filters.items():
        if text is not None and not storable(text):
            raise Invalid(f"`{name}` holds characters that no name has.", code="invalid_text")
