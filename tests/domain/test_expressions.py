import subprocess
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain import expressions
from engine.domain.expression_scripts import reads_words, render_script
from engine.domain.expressions import condition, problems, references, render, step_references
from engine.domain.values import Json
from engine.errors import Invalid

SCOPE: dict[str, Json] = {
    "parameters": {
        "size": "small",
        "n": 2,
        "items": [1, 2],
        "db-name": "x y",
        "none": None,
        "b": True,
        "version": "15",
    },
    "steps": {"create-database": {"outputs": {"items": [3, {"k": "v"}], "host": "h"}}},
    "environment": "dev",
}
PLACES: dict[str, Callable[[str], str]] = {
    "a word": lambda e: f"echo {e}",
    "an assignment": lambda e: f'x={e}; printf %s "$x"',
    "a substitution": lambda e: f'x=$(printf %s {e}); printf %s "$x"',
    "after quotes": lambda e: f"echo 'a \" b' \"c $HOME ${{HOME}} $(true)\" \\' # don't\nprintf %s {e}",
}  # fmt: skip
HOSTILE_PLACES = (
    'echo "{}"', "echo '{}'", "cat <<EOF\n{}\nEOF", 'echo "$(echo "{}")"', "# {}", "echo `echo {}`", "echo $(({}))",
    "echo ${x:-{}}", "echo \\{}", "echo ${}", "a[{}]=1", "a[ & {}]=1", "let x=1 {}", "eval echo {}", "x=$'\\''; echo {}", "echo $'a\\'b' '{}", "(( {} ))",
    'x="$(case a in a) echo "b;; esac)"; echo {}', 'echo $"a" {}', "cat <<'A'\n'\nA\necho {}",
)  # fmt: skip


def failure(value: Json) -> str:
    with pytest.raises(Invalid) as caught:
        render(value, SCOPE)
    return "; ".join(str(problem) for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ parameters.n }}", 2),
        ("{{ parameters.version }}", "15"),
        ("{{ .parameters.n }}", 2),
        ("{{.parameters.n}}", 2),
        ("port-{{ parameters.n }}-{{ parameters.b }}-{{ parameters.none }}", "port-2-true-"),
        ("{{ parameters.none }}", None),
        ("{{ parameters }}", SCOPE["parameters"]),
        ("{{ steps.create-database.outputs.items }}", [3, {"k": "v"}]),
        ("{{ .steps.create-database.output.items.1.k }}", "v"),
        ("{{ steps['create-database'].outputs.items[1].k }}", "v"),
        ("{{ parameters.db-name | upper }}", "X Y"),
        ("{{ 'steps.a.b' }}", "steps.a.b"),
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("{{ '}}' }}{{ '{{' }}", "}}{{"),
        ("{{ -1 }}", -1),
        ("{{ parameters.n - 1 }}", 1),
        ("{{ '5Gi' if parameters.size == 'small' else '100Gi' }}", "5Gi"),
        ("{{ parameters.absent | default('d') }}", "d"),
        ("{{ steps.absent.outputs.x.y | default('d') }}", "d"),
        ("{{ parameters.absent is defined }}", False),
        ("{{ parameters.items | join('-') ~ true }}", "1-2true"),
        ("{{ ['b', 'a', 'b'] | unique | sort | first }}", "a"),
        ("{{ 'a,b' | split(',') | last }}", "b"),
        ("{{ 'hé' | b64encode | b64decode }}", "hé"),
        ("{{ parameters | length }}", 6 + 1),
        ("{{ {'a': [1, none]} | tojson }}", '{"a": [1, null]}'),
        ("{{ '7' | int + 1 }}", 8),
        ("{{ 'x' | int(3) }}", 3),
        ("{{ 'yes' | bool }}", True),
        ("{{ 'a b' | sh }}", "'a b'"),
        ("{{ 10 % 3 }}", 1),
        ('echo \'{"a":{"b":{}}}\' ${#x} %{http_code}', 'echo \'{"a":{"b":{}}}\' ${#x} %{http_code}'),
        ("printf '{%s: %d}' {%%}", "printf '{%s: %d}' {%%}"),
    ],
)
def test_expression_gives_its_value(source: str, expected: Json) -> None:
    result = render(source, SCOPE)
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ parameters.siez }}", "Did you mean `parameters.size`?"),
        ("{{ parameter.size }}", "Did you mean `parameters`?"),
        ("{{ steps.create-databse.outputs.host }}", "Did you mean `steps.create-database`?"),
        ("{{ parameters.n-1 }}", "A subtraction needs spaces"),
        ("{{ parameters.items.items }}", "`parameters.items.items` is not defined"),
        ("{{ 1 if false }}", "give an `if` its `else`"),
        ("{{ [parameters.absent] }}", "`parameters.absent` is not defined"),
        ("{{ 'a' ~ parameters.absent }}", "`parameters.absent` is not defined"),
        ("{{ parameters.absent | upper }}", "`parameters.absent` is not defined"),
        ("{{ parameters.a | default(parameters.absent) }}", "`parameters.absent` is not defined"),
        ("{{ 1 / 0 }}", "divides by zero"),
        ("{{ 1e308 * 10 }}", "not a finite number"),
        ("{{ [1, 'a'] | sort }}", "one kind"),
        ("{{ 'a' + 1 }}", "write `a ~ b`"),
        ("{{ parameters.n", "never closed"),
        ("{{ }}", "holds no expression"),
        ("{{ parameters.size | uper }}", "Did you mean `upper`?"),
        ("{{ parameters.size small }}", "`small` follows"),
    ],
)
def test_failing_expression_says_what_to_write(source: str, said: str) -> None:
    assert said in failure(source)


@pytest.mark.parametrize(
    ("source", "rewrite"),
    [
        ('{{ if eq .parameters.size "small" }}5Gi{{ else }}9Gi{{ end }}', 'if parameters.size == "small" else'),
        ("{{ range .parameters.items }}{{ . }}{{ end }}", "| join"),
        ("{{- .parameters.size -}}", "Write `{{ parameters.size }}`"),
        ("{{ eq .parameters.n 1 }}", "Write `{{ parameters.n == 1 }}`"),
        ('{{ printf "%s" .parameters.n }}', "Use a filter"),
        ("{% if parameters.size %}x{% endif %}", "`{{ a if condition else b }}`"),
    ],
)
def test_statement_of_a_template_language_is_refused_with_the_rewrite(source: str, rewrite: str) -> None:
    found = problems({"a": [source]})
    assert found[0].path == ("a", 0)
    assert len(found) == 1 or "range" in source
    assert rewrite in found[0].fix
    assert rewrite in failure(source)


@pytest.mark.parametrize(
    "source",
    [
        "''.__class__", "parameters.__class__", "parameters['__class__']", "''.format", "''['format']", "parameters.items.append",
        "parameters.size.upper()", "parameters | attr('__class__')", "range(9)", "lipsum()", "cycler('a')", "dict(a=1)",
        "joiner()", "namespace()", "self", "self._TemplateReference__context", "_x", "loop", "caller", "''|format(1)",
        "'%s' % 1", "parameters | map('upper')", "parameters is callable", "1.5.__class__", "(1).__class__", "[].__class__",
        "{}.__class__.__mro__", "innominatus_result", "context", "environment_", "True.__class__", "none.__class__",
    ],
)  # fmt: skip
def test_escape_from_the_sandbox_is_refused(source: str) -> None:
    assert failure("{{ " + source + " }}")


@pytest.mark.parametrize(
    "source",
    [
        "'a' * 10**9", "[0] * 10**9", "10**10**10", "9**256**2", "'%1000000000d' % 1", "2**250 * 2**250",
        "(" * 900 + "1" + ")" * 900, "[" * 900 + "]" * 900, "not " * 900 + "1", "-" + " -" * 900 + "1", "1" + "+1" * 1500,
        "'\"'" + "|tojson" * 60, "'aaaaaaaaaa'" + "|replace('a','aaaaaaaaaa')" * 20, "a" + ".b" * 1900, "'" + "a" * 5000 + "'",
        "'\"'" + "|sh" * 500, "big ~ big ~ big", "big + big + big", "[big, big, big] | join", "[[big, big, big]]",
        "big | replace('', big)", "a if b else " * 300 + "c", "1" + " and 1" * 700, "'9' * 9", "('9' | int) ** 9999",
        "(['9'] | join | replace('9', big)) | int",
    ],
)  # fmt: skip
def test_exploding_expression_ends_quickly_with_an_error(source: str) -> None:
    began = time.monotonic()
    with pytest.raises(Invalid):
        render("{{ " + source + " }}", {**SCOPE, "big": "1" * 900_000})
    assert time.monotonic() - began < 1.0


def test_many_expressions_share_one_bound() -> None:
    with pytest.raises(Invalid, match="no value"):
        render(["{{ big }}", "{{ big }}", "{{ big }}"], {"big": "1" * 900_000})


def test_values_are_never_read_as_templates() -> None:
    assert render("{{ evil }}-{{ evil }}", {"evil": "{{ 1 + 1 }}"}) == "{{ 1 + 1 }}-{{ 1 + 1 }}"


def test_values_cannot_change_the_structure() -> None:
    assert render({"a": "{{ v }}"}, {"v": "x\nb: 1"}) == {"a": "x\nb: 1"}
    assert "Two keys" in failure({"{{ parameters.size }}": 1, "small": 2})


def test_result_shares_nothing_with_the_scope() -> None:
    values: list[Json] = [1]
    result = render("{{ v }}", {"v": values})
    values.append(2)
    assert result == [1]


def test_every_failing_leaf_is_reported_with_its_path() -> None:
    said = failure({"a": "{{ x }}", "b": ["ok", {"c": "{{ y }}"}]})
    assert "a: `x` is not defined" in said
    assert "b.1.c: `y` is not defined" in said


def test_errors_never_quote_a_value() -> None:
    with pytest.raises(Invalid) as caught:
        render(["{{ s | int }}", "{{ s + 1 }}", "{{ s | b64decode }}", "{{ s | bool }}"], {"s": "hunter2!"})
    assert "hunter2" not in " ".join(str(problem) for problem in caught.value.problems)


def test_static_check_knows_the_names() -> None:
    assert problems({"a": "{{ parameters.x }} {{ steps.a.outputs.b }} {{ resource.params.c }}"}) == []
    assert "Did you mean `parameters`?" in problems("{{ paramters.x }}")[0].fix
    assert "needs the name of a step" in problems("{{ steps[parameters.x].outputs.b }}")[0].message
    assert problems("{{ Names }}", names={"Names"}) == []


def test_references_are_found_wherever_they_stand() -> None:
    tree: Json = {
        "{{ steps.a.outputs.k }}": [
            "{{ x[steps.b-1.output.y] }}",
            "{{ parameters.p | default(steps.c.outputs.z) }}",
            "{{ (",
        ]
    }
    assert step_references(tree) == {"a", "b-1", "c"}
    assert expressions.parameter_references(tree) == {"p"}
    assert ("steps", "b-1", "outputs", "y") in references(tree)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ parameters.size == 'small' }}", True),
        ("parameters.size != 'small'", False),
        ("{{ parameters.none }}", False),
        ("{{ 'false' }}", False),
        ("{{ parameters.items }}", True),
        (".parameters.n > 1 and not parameters.none", True),
    ],
)
def test_condition_is_one_expression(text: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert condition(text, SCOPE) is expected


@pytest.mark.parametrize(
    "text", ["{{ parameters.size }}", "x {{ parameters.b }}", "{{ absent }}", "", "{{ 1 }}{{ 2 }}"]
)
def test_condition_without_a_truth_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        condition(text, SCOPE)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "value", ["a b", "$(echo boom)", "`echo boom`", "'; echo boom; '", '"', "a\nb", "#x", "\\", "*", "~", ""]
)
def test_quoted_value_reaches_the_shell_as_it_is(place: str, value: str) -> None:
    script = render_script(PLACES[place]("{{ v | sh }}"), {"v": value})
    printed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.rstrip("\n").endswith(value.rstrip("\n"))


@pytest.mark.parametrize("place", HOSTILE_PLACES)
def test_value_is_refused_where_quoting_does_not_protect(place: str) -> None:
    with pytest.raises(Invalid) as caught:
        render_script(place.replace("{}", "{{ v | sh }}"), {"v": "$(echo boom)"})
    assert "PARAM_" in str(caught.value.problems[0])
    assert render_script(place.replace("{}", "{{ v }}"), {"v": "plain-1.2/x:y@z"})


@pytest.mark.parametrize("value", ["a b", "$x", "a;b", "a\nb", "'", "é", "[1]", "x#y", "~", "a*", "a{b}", "a&b", "!x"])
def test_bare_value_in_a_script_must_be_plain(value: str) -> None:
    with pytest.raises(Invalid) as caught:
        render_script("echo {{ v }}", {"v": value})
    assert "| sh" in caught.value.problems[0].fix
    assert value not in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("first_line", "shell"),
    [
        ("#!/bin/bash -e", True), ("#!/usr/bin/env bash", True), ("#! /bin/sh", True), ("#!/usr/bin/env -S zsh -f", True),
        ("#!/usr/bin/env python3", False), ("#!/usr/bin/fish", False), ("#!/bin/tcsh", False), ("#!/usr/bin/perl", False),
    ],
)  # fmt: skip
def test_shell_quoting_counts_only_in_a_shell(first_line: str, *, shell: bool) -> None:
    script = first_line + "\nprint({{ v | sh }})\n"
    if shell:
        assert "'a b'" in render_script(script, {"v": "a b"})
    else:
        with pytest.raises(Invalid, match="cannot be rendered"):
            render_script(script, {"v": "a b"})


@pytest.mark.parametrize(
    ("interpreter", "shell"), [("bash -e", True), ("/bin/sh", True), ("python3", False), ("node", False)]
)
def test_declared_interpreter_decides_before_the_first_line(interpreter: str, *, shell: bool) -> None:
    script = "#!/bin/bash\nprint({{ v | sh }})"
    if shell:
        assert "'a b'" in render_script(script, {"v": "a b"}, interpreter=interpreter)
    else:
        with pytest.raises(Invalid, match="cannot be rendered"):
            render_script(script, {"v": "a b"}, interpreter=interpreter)


SHELL_BITS = (
    "'",
    '"',
    "\\",
    "#",
    " ",
    "\n",
    "$",
    "(",
    ")",
    "`",
    "{",
    "}",
    "<<A",
    "A",
    "x",
    ";",
    "$(",
    "${",
    "case ",
    "#!",
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(SHELL_BITS), max_size=9).map("".join))
def test_no_script_lets_a_quoted_value_run(before: str) -> None:
    if not reads_words(before):
        return
    marker = "$(printf bo)om"
    script = before + " '" + marker + '\' "$(printf a)"\n'
    done = subprocess.run(["bash", "-nc", script], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        script = "set +e; command_not_found_handle() { :; }\n" + before + " '" + marker + "'\n"
        traced = subprocess.run(["bash", "-xc", script], capture_output=True, text=True, check=False, timeout=10)
        assert "printf bo\n" not in traced.stderr.replace("'", "")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}%'\"|.()[]-+*~ab1 ,:é\\\n", max_size=30))
def test_no_text_breaks_the_reader(text: str) -> None:
    problems(text)
    try:
        render(text, SCOPE)
    except Invalid as error:
        assert error.problems  # noqa: PT017 - either outcome is fine


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_one_expression_hands_any_json_through(value: Json) -> None:
    assert render("{{ value }}", {"value": value}) == value
