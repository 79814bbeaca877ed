"""Cursors: where the next page of a list begins."""

from engine.errors import Invalid

_LARGEST = 2**63 - 1


def after(cursor: str) -> int:
    """The id that a cursor stands for; 0 for none. Raises Invalid for what is no cursor."""
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 19 and int(cursor) <= _LARGEST):
        raise Invalid(
            "That is not a cursor of this list.",
            code="invalid_cursor",
            hint="Pass `next_cursor` of the page before as it was, or nothing for the first page.",
        )
    return int(cursor)
