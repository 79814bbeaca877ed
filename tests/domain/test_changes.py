import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.changes import changed_leaves
from engine.domain.plan import Change
from engine.domain.values import Json, JsonObject

leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2)
values: st.SearchStrategy[Json] = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xy", max_size=2), inner, max_size=3)
)
objects: st.SearchStrategy[JsonObject] = st.dictionaries(st.text("xy", max_size=2), values, max_size=4)


def text(value: JsonObject) -> str:
    """Equal as JSON: 1 is not true."""
    return json.dumps(value, sort_keys=True)


@given(objects, objects)
@settings(max_examples=200, deadline=None)
def test_there_are_changes_exactly_where_the_json_differs(before: JsonObject, after: JsonObject) -> None:
    assert bool(changed_leaves(before, after)) is (text(before) != text(after))
    assert changed_leaves(before, before) == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": True}, Change("a", 1, True)),
        ({"a": 1}, {"a": "1"}, Change("a", 1, "1")),
        ({}, {"a": None}, Change("a", None, None)),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, Change("a.b.1", 2, 3)),
        ({"a": [1]}, {"a": [1, 2]}, Change("a", [1], [1, 2])),
        ({"a": {"b": 1}}, {"a": []}, Change("a", {"b": 1}, [])),
        ({"a": {"b": 1}}, {}, Change("a", {"b": 1}, None)),
    ],
)
def test_the_smallest_part_that_differs_is_told(before: JsonObject, after: JsonObject, expected: Change) -> None:
    assert changed_leaves(before, after) == (expected,)


def test_everything_below_a_secret_name_is_masked() -> None:
    before: JsonObject = {"s": {"deep": ["canary"]}, "t": "seen"}
    after: JsonObject = {"s": {"deep": ["other"], "new": "canary"}, "t": "too"}
    found = changed_leaves(before, after, secret={"s"})
    assert "canary" not in repr(found)
    assert [change.path for change in found] == ["s.deep.0", "s.new", "t"]
    assert changed_leaves({"s": "canary"}, {}, secret={"s"}) == (Change("s", "***", None),)
