"""Placeholders resolve as they do in Score's own tools."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.placeholders import (
    PlaceholderError,
    PlaceholderFault,
    escape,
    find,
    output_references,
    resolver,
    resource_references,
    split,
    substitute,
    substitute_tree,
    written,
)
from engine.domain.values import Json, JsonObject

METADATA: JsonObject = {"name": "shop", "tier": 2, "annotations": {"team.io/owner": "ada"}}
OUTPUTS: dict[str, dict[str, Json]] = {
    "db": {"host": "h", "port": 5432, "tls": True, "ratio": 2.0, "none": None, "nested": {"b": [1, "ä"], "a": 5.0}},
    "evil": {"value": "${metadata.name} $$ ${"},
}
RESOLVE = resolver(METADATA, OUTPUTS)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", ""),
        ("$", "$"),
        ("$$", "$"),
        ("$$$", "$$"),
        ("$HOME and ${", "$HOME and ${"),
        ("$${x} and $$${metadata.name}", "${x} and $shop"),
        ("$${a$$b}", "${a$$b}"),
        ("${metadata.name}-${metadata.tier}", "shop-2"),
        (r"${metadata.annotations.team\.io/owner}", "ada"),
        ("${resources.db}", "db"),
        ("${resources.db.port}", "5432"),
        ("${resources.db.tls} ${resources.db.ratio} ${resources.db.none}", "true 2 null"),
        ("${resources.db.nested}", '{"a":5,"b":[1,"ä"]}'),
        ("${resources.db.outputs.host}", "h"),
        ("${resources.evil.value}", "${metadata.name} $$ ${"),
    ],
)
def test_a_text_is_substituted(text: str, result: str) -> None:
    assert substitute(text, RESOLVE) == result


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("${}", PlaceholderFault.UNKNOWN_ROOT),
        ("${HOME}", PlaceholderFault.UNKNOWN_ROOT),
        ("${ metadata.name }", PlaceholderFault.UNKNOWN_ROOT),
        ("${metadata}", PlaceholderFault.KEY_REQUIRED),
        ("${resources}", PlaceholderFault.KEY_REQUIRED),
        ("${metadata.nam}", PlaceholderFault.KEY_NOT_FOUND),
        ("${metadata.name.x}", PlaceholderFault.NOT_A_MAP),
        ("${metadata.}", PlaceholderFault.KEY_NOT_FOUND),
        ("${resources.}", PlaceholderFault.UNKNOWN_RESOURCE),
        ("${resources.cache.host}", PlaceholderFault.UNKNOWN_RESOURCE),
        ("${resources.db.hots}", PlaceholderFault.KEY_NOT_FOUND),
        ("${resources.db.outputs}", PlaceholderFault.KEY_NOT_FOUND),
        ("${resources.db.nested.b.0}", PlaceholderFault.NOT_A_MAP),
    ],
)
def test_what_cannot_be_resolved_says_how(text: str, fault: PlaceholderFault) -> None:
    with pytest.raises(PlaceholderError) as caught:
        substitute("x " + text, RESOLVE)
    assert caught.value.fault is fault
    assert text in str(caught.value)


def test_a_lookup_that_finds_nothing_is_a_missing_key() -> None:
    def lookup(keys: tuple[str, ...]) -> Json:
        raise KeyError(keys)

    with pytest.raises(PlaceholderError) as caught:
        substitute("${resources.db.a.b}", resolver({}, {"db": lookup}))
    assert caught.value.fault is PlaceholderFault.KEY_NOT_FOUND


def test_a_tree_is_substituted_leaf_by_leaf_and_its_keys_stay() -> None:
    tree: Json = {"${metadata.name}": ["${metadata.name}", 3, None, {"a": "$$"}]}
    assert substitute_tree(tree, RESOLVE) == {"${metadata.name}": ["shop", 3, None, {"a": "$"}]}


def test_the_resources_of_a_tree_are_found() -> None:
    tree: Json = {
        "${resources.key}": ["${resources.a}", "$${resources.no}", {"x": "${resources.b.c.d}${metadata.name}"}]
    }
    assert resource_references(tree) == {"a", "b"}


def test_references_know_their_place() -> None:
    assert [(r.text, r.start, r.resource) for r in find("a $$ ${metadata.x} ${resources.db.y}")] == [
        ("metadata.x", 5, None),
        ("resources.db.y", 19, "db"),
    ]


@pytest.mark.parametrize(
    "text", ["${" * 200_000, "${" * 200_000 + "}", "$" * 400_000, "$${" * 100_000, "{}" + "${" * 200_000]
)
def test_long_texts_take_linear_time(text: str) -> None:
    assert len(find(text)) <= 1
    assert substitute(escape(text), RESOLVE) == text


DOLLARS = st.text(alphabet="${}a.\\ ", max_size=40)


@given(DOLLARS)
@settings(max_examples=300, deadline=None)
def test_an_escaped_text_comes_back(text: str) -> None:
    assert find(escape(text)) == []
    assert substitute(escape(text), RESOLVE) == text


@given(DOLLARS, DOLLARS)
@settings(max_examples=150, deadline=None)
def test_resolved_values_are_not_read_again(value: str, behind: str) -> None:
    resolve = resolver({"v": value}, {})
    assert substitute("${metadata.v}" + escape(behind), resolve) == value + behind


@given(st.lists(st.text(alphabet="ab.-/", max_size=5), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_keys_are_written_and_read(keys: list[str]) -> None:
    assert split(written(tuple(keys))) == tuple(keys)


def test_the_outputs_that_a_value_reads_are_named() -> None:
    value: Json = {
        "url": "${resources.db.host}:${resources.db.outputs.port}",
        "list": ["${resources.cache}", "$${resources.x.y}"],
    }
    assert output_references(value) == {("db", "host"), ("db", "port")}
