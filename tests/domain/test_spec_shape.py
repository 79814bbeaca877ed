"""Wrong types at every place of the document, and documents that make no sense at all, are problems with a place."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.spec_reader import read
from engine.domain.values import Json
from engine.domain.yaml_path import Path as Place
from engine.domain.yaml_path import dotted
from engine.domain.yaml_source import load

FULL = load((Path(__file__).parents[2] / "examples" / "score-full.yaml").read_bytes()).value
FREE = ("metadata.tier", "resources.data.params.", "resources.db.params.")
"""Where Score takes every value."""


def places(value: Json, path: Place = ()) -> Iterator[Place]:
    yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from places(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def put(value: Json, path: Place, new: Json) -> Json:
    if not path:
        return new
    if isinstance(value, dict):
        return {name: put(item, path[1:], new) if name == path[0] else item for name, item in value.items()}
    if isinstance(value, list):
        return [put(item, path[1:], new) if index == path[0] else item for index, item in enumerate(value)]
    return value


def at(path: Place) -> Json:
    value = FULL
    for part in path:
        value = value[part] if isinstance(value, dict) and isinstance(part, str) else value
        value = value[part] if isinstance(value, list) and isinstance(part, int) else value
    return value


@pytest.mark.parametrize("path", list(places(FULL)), ids=dotted)
def test_a_wrong_type_is_named_at_its_place(path: Place) -> None:
    wrong: list[Json] = [None, True, 7, 1.5, "text here!", [], [7], {}, {"surprise!": 7}]
    for new in wrong:
        if type(new) is type(at(path)) or (path[-1:] == ("port",) and new == 7):
            continue
        parsed = read(json.dumps(put(FULL, path, new)), strict=True)
        if not dotted(path).startswith(FREE):
            known = {problem.path for problem in parsed.errors if problem.code in ("wrong_type", "yaml_empty")}
            lists = dotted(path).endswith((".files", ".volumes")) and isinstance(new, list)
            assert dotted(path) in known or (lists and (new == [] or parsed.errors)), (new, parsed.errors)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 90000) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["apiVersion", "metadata", "name", "containers", "main", "image", "env", "ports", "files", "volumes", "before",
         "variables", "resources", "type", "params", "properties", "environment", "ttl", "service", "port", "target",
         "livenessProbe", "httpGet", "content", "noExpand", "annotations", "value"]), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@given(JSON, st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_document_makes_it_raise(value: Json, strict: bool) -> None:  # noqa: FBT001 - given by hypothesis
    document: Json = {
        "apiVersion": "score.dev/v1b1",
        "metadata": {"name": "app"},
        "containers": value,
        "resources": value,
    }
    for one in (value, document):
        parsed = read(json.dumps(one), strict=strict)
        assert (parsed.spec is None) is bool(parsed.errors)


@given(st.text() | st.binary())
@settings(max_examples=80, deadline=None)
def test_no_text_makes_it_raise(text: str | bytes) -> None:
    assert read(text).spec is None
