import contextlib
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.values import Json, JsonObject
from engine.steps.base import StepFailed
from engine.steps.outputs import accepted, parse

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, TEXT, max_size=5))
@settings(max_examples=80)
def test_text_is_read_as_it_was_written(outputs: dict[str, str]) -> None:
    content = "".join(f"{name}={value}\n" for name, value in outputs.items())
    assert parse(content.encode()) == outputs


@given(st.dictionaries(NAMES, VALUES, max_size=5))
@settings(max_examples=80)
def test_typed_values_are_read_as_they_were_written(outputs: JsonObject) -> None:
    content = "".join(f"{name}:={json.dumps(value)}\n" for name, value in outputs.items())
    assert accepted(parse(content.encode())) == outputs


@given(st.binary(max_size=200))
@settings(max_examples=150)
def test_any_bytes_are_read_or_refused_in_words(content: bytes) -> None:
    with contextlib.suppress(StepFailed):
        assert isinstance(accepted(parse(content)), dict)


def test_windows_line_ends_are_no_part_of_a_value() -> None:
    assert parse(b"a=1\r\nb<<E\r\nx\r\nE\r\n") == {"a": "1", "b": "x"}


def test_the_last_of_two_values_counts() -> None:
    assert parse(b"a=1\na=2\n") == {"a": "2"}


DEEP: Json = json.loads("[" * 100 + "]" * 100)

REFUSED: list[tuple[JsonObject, str]] = [
    ({"a b": 1}, "cannot be the name"),
    ({"": 1}, "cannot be the name"),
    ({"a" * 129: 1}, "cannot be the name"),
    ({"a\n": 1}, "cannot be the name"),
    ({"a": "x\0"}, "NUL"),
    ({"a": {"k\0": 1}}, "NUL"),
    ({"a": ["\ud800"]}, "not valid text"),
    ({"a": float("nan")}, "not a JSON number"),
    ({"a": [float("inf")]}, "not a JSON number"),
    ({"a": DEEP}, "nested deeper"),
    ({"b": 1, "a": "x" * 1_000_000}, "too large: [0-9]+ bytes, at most 1000000; the largest is `a`"),
]


@pytest.mark.parametrize(("outputs", "told"), REFUSED)
def test_outputs_that_cannot_be_stored_are_refused(outputs: JsonObject, told: str) -> None:
    with pytest.raises(StepFailed) as failed:
        accepted(outputs)
    assert re.search(told, failed.value.message)


def test_the_size_that_is_allowed_is_the_callers() -> None:
    with pytest.raises(StepFailed, match="at most 10"):
        accepted({"a": "x" * 20}, max_bytes=10)
