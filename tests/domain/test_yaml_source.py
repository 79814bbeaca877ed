"""YAML text becomes JSON values with places, or problems; it never raises, executes or hangs."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.values import Json
from engine.domain.yaml_source import Limits, dotted, load, load_all


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes", {"a": "yes"}),
        ("on: off", {"on": "off"}),
        ("a: [true, False, TRUE]", {"a": [True, False, True]}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: 12:30:45", {"a": "12:30:45"}),
        ("a: [~, null, '', ]", {"a": [None, None, ""]}),
        ("a: [1, -2, +3, 0o17, 0x1F, 0755, 089]", {"a": [1, -2, 3, 15, 31, 493, 89]}),
        ("a: [1.5, .5, 1e3, -1.0e-2]", {"a": [1.5, 0.5, 1000.0, -0.01]}),
        ("a: [1_000, 0b1, 1.2.3, '1', \"2\", !!str 3]", {"a": ["1_000", "0b1", "1.2.3", "1", "2", "3"]}),
        ("a: !!int 3\nb: !!float 2", {"a": 3, "b": 2}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, c: 1}\nd: {<<: *x, c: 2}", {"a": {"b": 1, "c": 1}, "d": {"b": 1, "c": 2}}),
        (
            "a: &x {b: 1}\ny: &y {b: 2, c: 3}\nd: {<<: [*x, *y]}",
            {"a": {"b": 1}, "y": {"b": 2, "c": 3}, "d": {"b": 1, "c": 3}},
        ),
        ("'<<': 1", {"<<": 1}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1\n...\n", {"a": 1}),
        ("just text", "just text"),
        ("a: 18446744073709551615", {"a": 2**64 - 1}),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: Json) -> None:
    source = load(text)
    assert source.problems == ()
    assert source.value == value


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("", "yaml_empty", 1, 1),
        ("# nothing\n", "yaml_empty", 1, 1),
        ("---\n", "yaml_empty", 1, 1),
        ("a: 1\nb: [1, 2\nc: 3\n", "yaml_syntax", 3, 2),
        ("a:\n\t- b\n", "yaml_syntax", 2, 1),
        ("a: @b\n", "yaml_syntax", 1, 4),
        ("a: b: c\n", "yaml_syntax", 1, 5),
        (b"a: \xff\n", "yaml_encoding", 1, 4),
        (b"\x7fELF\x00\x01", "yaml_binary", 1, 1),
        ("a: 1\nb: x\0y", "yaml_binary", 2, 5),
        ("a: \ud800", "yaml_binary", 1, 4),
        ('a: "x\\0y"', "yaml_nul", 1, 4),
        ("a: 1\nb: 2\na: 3\n", "yaml_duplicate_key", 3, 1),
        ("a: {b: 1, b: 2}", "yaml_duplicate_key", 1, 11),
        ("1: x", "yaml_key", 1, 1),
        ("true: x", "yaml_key", 1, 1),
        ("? [a]\n: x", "yaml_key", 1, 3),
        ("a: *b", "yaml_alias", 1, 4),
        ("a: &a [*a]", "yaml_alias", 1, 8),
        ("a: !!python/object/apply:os.system ['true']", "yaml_tag", 1, 4),
        ("a: !!binary aGk=", "yaml_tag", 1, 4),
        ("a: !Ref b", "yaml_tag", 1, 4),
        ("a: !!int b", "yaml_tag", 1, 4),
        ("a: .inf", "yaml_number", 1, 4),
        ("a: .NaN", "yaml_number", 1, 4),
        ("a: 1e999", "yaml_number", 1, 4),
        ("a: " + "9" * 5000, "yaml_number", 1, 4),
        ("a: 18446744073709551616", "yaml_number", 1, 4),
        ("a: 1\n---\nb: 2\n", "yaml_multiple_documents", 2, 1),
        ("a: {<<: 3}", "yaml_merge", 1, 5),
        ("a: {<<: {b: 1}, <<: {c: 1}}", "yaml_duplicate_key", 1, 17),
        ("[" * 65 + "]" * 65, "yaml_too_deep", 1, 65),
        ("[" * 100_000, "yaml_too_deep", 1, 65),
        ("- " * 100_000 + "x", "yaml_too_deep", 1, 129),
        ("? " * 100_000 + "x", "yaml_too_deep", 1, 129),
    ],
)
def test_what_cannot_be_carried_is_a_problem_with_its_place(
    text: str | bytes, code: str, line: int, column: int
) -> None:
    problem = load(text).problems[0]
    assert (problem.code, problem.line, problem.column) == (code, line, column)


def test_a_duplicate_key_names_both_lines_and_keeps_looking() -> None:
    source = load("a: 1\nb: {c: 1}\na: 2\n1: x\n", file="score.yaml")
    assert [problem.code for problem in source.problems] == ["yaml_duplicate_key", "yaml_key"]
    assert "line 1" in source.problems[0].message
    assert str(source.problems[0]).startswith("score.yaml:3:1 a: ")
    assert source.value == {"a": 1, "b": {"c": 1}, "1": "x"}


@pytest.mark.parametrize("size", [1_000_001, 50_000_000])
def test_a_large_document_is_refused_before_it_is_read(size: int) -> None:
    assert [problem.code for problem in load(b"a" * size).problems] == ["yaml_too_large"]
    assert [problem.code for problem in load("a" * size).problems] == ["yaml_too_large"]


def test_size_is_counted_in_bytes() -> None:
    assert load("a: " + "é" * 600_000).problems[0].code == "yaml_too_large"


@pytest.mark.parametrize(
    "leaf", ["[x, x, x, x, x, x, x, x]", "{p: x, q: x, r: x, s: x, t: x, u: x, v: x, w: x}", "xxxxxxxx"]
)
def test_an_alias_bomb_is_refused_before_it_is_expanded(leaf: str) -> None:
    bomb = f"a0: &a0 {leaf}\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert load(bomb).problems[0].code == "yaml_too_many"


def test_a_large_text_may_not_be_multiplied_by_aliases() -> None:
    bomb = "a: &a " + "x" * 500_000 + "\nb: [" + "*a, " * 1000 + "]"
    assert load(bomb).problems[0].code == "yaml_too_many"


def test_aliases_cannot_hide_nesting() -> None:
    deep = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100))
    assert load(deep).problems[0].code == "yaml_too_deep"


def test_many_problems_end_the_reading() -> None:
    source = load("".join(f"{n}: x\n" for n in range(10_000)))
    assert len(source.problems) == 101
    assert source.problems[-1].code == "yaml_too_many_problems"


def test_limits_can_be_set() -> None:
    assert load("[[[1]]]", limits=Limits(max_depth=2)).problems[0].code == "yaml_too_deep"
    assert load("[1, 2, 3]", limits=Limits(max_nodes=3)).problems[0].code == "yaml_too_many"


def test_places_and_written_texts_are_remembered() -> None:
    source = load('a:\n  b:\n    - 1.10\n    - {c: "x"}\nd: &d {e: 0755}\nf: *d\n')
    assert source.place(()) == (1, 1)
    assert source.place(("a", "b")) == (2, 3)
    assert source.place(("a", "b", 0)) == (3, 7)
    assert source.place(("a", "b", 1, "c")) == (4, 8)
    assert source.place(("a", "nothing", "here")) == (1, 1)
    assert source.place(("f",)) == (6, 1)
    assert source.text(("a", "b", 0)) == "1.10"
    assert source.text(("f", "e")) == "0755"
    assert source.text(("a",)) is None
    assert source.text(("nothing",)) is None


def test_several_documents_are_read_where_they_are_asked_for() -> None:
    sources = load_all("a: 1\n---\n---\nb: 2\nb: 3\n---\n")
    assert [source.value for source in sources] == [{"a": 1}, {"b": 2}]
    assert [problem.line for problem in sources[1].problems] == [5]
    assert load_all("a: 1\n---\nb: [\n")[-1].problems[0].code == "yaml_syntax"
    assert [source.problems[0].code for source in load_all("---\n---\n")] == ["yaml_empty"]


def test_several_documents_share_the_limits() -> None:
    bomb = "a: &a [" + "x, " * 1000 + "]\nb: [" + "*a, " * 90 + "]\n---\n"
    assert load_all(bomb * 2)[-1].problems[0].code == "yaml_too_many"


def test_an_alias_is_a_copy() -> None:
    value = load("a: &a {b: []}\nc: *a\n").value
    assert isinstance(value, dict)
    assert value["a"] is not value["c"]


def test_paths_are_written_as_people_write_them() -> None:
    assert dotted(("containers", "main", "args", 0)) == "containers.main.args[0]"
    assert dotted(("files", "/etc/x.conf")) == 'files["/etc/x.conf"]'


@given(st.text() | st.binary())
@settings(max_examples=150, deadline=None)
def test_no_text_makes_it_raise(text: str | bytes) -> None:
    source = load(text)
    assert (source.value is None) <= bool(source.problems)


@given(st.text(alphabet="a:-?[]{}&*!|>'\"%@`#,<\n 10.~\t", max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_punctuation_makes_it_raise(text: str) -> None:
    source = load(text)
    json.dumps(source.value, allow_nan=False)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_json_reads_as_itself(value: Json) -> None:
    source = load("v: " + json.dumps(value, ensure_ascii=False))
    assert source.problems == ()
    assert source.value == {"v": value}
