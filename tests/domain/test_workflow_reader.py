from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.values import JsonObject
from engine.domain.workflow import ParameterType, RetryPolicy, When, Workflow
from engine.domain.workflow_reader import read
from engine.errors import Problem

HEAD = "apiVersion: innominatus.io/v1\nkind: Workflow\nmetadata: {name: w}\n"
WHOLE = """\
apiVersion: innominatus.io/v1
kind: Workflow
metadata: {name: provision-postgres, description: A database}
parameters:
  - {name: size, type: string, enum: [small, medium, large], default: small}
  - {name: db_name, required: true, pattern: "[a-z]+", min: 3, max: 30, secret: true}
steps:
  - name: create-database
    type: policy
    needs: []
    if: "{{ parameters.size != 'small' }}"
    when: always
    timeout: 10m
    retry: {max: 3, backoff: 5s}
    idempotent: true
    outputFrom: json
    secretOutputs: [password]
    artifacts: [plan/out.tfplan]
    config: {script: "echo {{ parameters.db_name | sh }}"}
  - name: check
    type: set
    config: {values: {host: "{{ steps.create-database.outputs.host }}"}}
outputs:
  host: "{{ steps.create-database.outputs.host }}"
  password: {value: "{{ steps.create-database.outputs.password }}", secret: true}
"""
EARLIER = """\
apiVersion: innominatus.io/v1alpha1
kind: Workflow
metadata:
  name: provision-vault-space
  description: A space
parameters:
  - name: app_name
    type: string
    required: true
  - name: replicas
    type: number
    required: false
    default: 2
  - name: namespace_name
    type: string
    default: "{{ .parameters.app_name }}"
  - name: container_env
    type: object
    default: {}
steps:
  - name: get-credentials
    type: policy
    config:
      command: |
        #!/bin/bash
        cat <<EOF
        {"username": "{{ .parameters.app_name }}"}
        EOF
outputs:
  username: "{{ .steps.get-credentials.output.username }}"
  port: "5432"
"""


GROUPS = """\
- {name: a, type: t, parallelGroup: 1}
- {name: b, type: t, parallel: true, parallelGroup: 1}
- {name: c, type: t, parallelGroup: 2}
- {name: d, type: t, parallelGroup: 2, dependsOn: [a]}
- {name: e, type: t}
"""


@dataclass(frozen=True)
class Wrong:
    path: tuple[str | int, ...]
    message: str
    fix: str = ""


def workflow(text: str) -> Workflow:
    found, problems = read(text, file="w.yaml")
    assert found is not None, [str(problem) for problem in problems]
    return found


def steps(body: str) -> dict[str, tuple[str, ...]]:
    return {step.name: step.needs for step in workflow(HEAD + "steps:\n" + body).steps}


def refused(text: str) -> tuple[Problem, ...]:
    found, problems = read(text, file="w.yaml", step_types={"policy", "set", "terraform"})
    assert found is None
    assert problems
    return problems


def test_whole_workflow_is_read() -> None:
    found = workflow(WHOLE)
    first, second = found.steps
    assert (found.name, found.description) == ("provision-postgres", "A database")
    assert [p.type for p in found.parameters] == [ParameterType.STRING] * 2
    assert found.secret_parameters == {"db_name"}
    assert (first.needs, first.when, first.timeout, first.retry) == ((), When.ALWAYS, 600, RetryPolicy(3, 5))
    assert (first.idempotent, first.secret_outputs, first.artifacts) == (True, ("password",), ("plan/out.tfplan",))
    assert first.config["outputFrom"] == "json"
    assert (first.line, first.condition) == (8, "{{ parameters.size != 'small' }}")
    assert second.needs == ("create-database",)
    assert found.outputs["password"].secret
    assert not found.outputs["host"].secret


def test_workflow_of_the_earlier_dialect_loads_unchanged() -> None:
    found = workflow(EARLIER)
    assert found.parameters[1].type is ParameterType.NUMBER
    assert found.outputs["port"].value == "5432"


def test_body_may_stand_below_spec_and_parameters_may_be_a_mapping() -> None:
    found = workflow(
        HEAD + "spec:\n  parameters:\n    size: {type: integer, default: 3}\n    zone: null\n"
        "  steps: [{name: a, type: set}]\n  outputs: {o: 1}\n"
    )
    assert [(p.name, p.type, p.default) for p in found.parameters] == [("size", "int", 3), ("zone", "string", None)]
    assert found.outputs["o"].value == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("- {name: a, type: t}\n- {name: b, type: t}\n- {name: c, type: t}", {"a": (), "b": ("a",), "c": ("b",)}),
        ("- {name: a, type: t}\n- {name: b, type: t, needs: []}\n- {name: c, type: t}", {"a": (), "b": (), "c": ("b",)}),
        (
            "- {name: a, type: t}\n- {name: b, type: t, dependsOn: []}\n- {name: c, type: t, dependsOn: [a, b]}",
            {"a": (), "b": (), "c": ("a", "b")},
        ),
        (
            "- {name: a, type: t}\n- {name: b, type: t, parallel: true}\n- {name: c, type: t, parallel: true}\n- {name: d, type: t}",
            {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")},
        ),
        (
            GROUPS,
            {"a": (), "b": (), "c": ("a", "b"), "d": ("a",), "e": ("c", "d")},
        ),
        ("- {name: z, type: t, needs: [a]}\n- {name: a, type: t, needs: []}", {"a": (), "z": ("a",)}),
        ("- {name: a, type: t}\n- {name: b, type: t, needs: a}", {"a": (), "b": ("a",)}),
    ],
)  # fmt: skip
def test_every_notation_of_order_becomes_needs(body: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert steps(body) == expected
    assert list(steps(body)) == list(expected)


@pytest.mark.parametrize(
    ("body", "line", "said", "fix"),
    [
        ("steps: [{name: a, type: terraforms}]", 4, "no step type `terraforms`", "Did you mean `terraform`?"),
        ("steps: [{name: a, type: set, timout: 3s}]", 4, "Unknown key `timout`", "Did you mean `timeout`?"),
        ("steps: [{name: a}]", 4, "`type` is missing", "Add `type`"),
        ("steps: [{type: set}]", 4, "`name` is missing", "Add `name`"),
        ("steps: []", 4, "no steps", "Add"),
        ("stepz: [{name: a, type: set}]", 4, "Unknown key `stepz`", "Did you mean `steps`?"),
        ("steps: {a: {type: set}}", 4, "`steps` must be a list, not a mapping", ""),
        ("steps: [a]", 4, "must be a mapping, not text", ""),
        ("steps:\n- {name: a, type: set}\n- {name: a, type: set}", 6, "already on line 5", "a name of its own"),
        ("steps:\n- {name: 'a b', type: set}", 5, "cannot be the name", "Use letters"),
        ("steps:\n- {name: a, type: set, needs: [b]}\n- {name: bb, type: set}", 5, "no step `b`", ""),
        (
            "steps:\n- {name: a, type: set, needs: [c]}\n- {name: b, type: set}\n- {name: c, type: set}",
            5, "wait for each other: `a` → `c` → `b` → `a`", "Remove",
        ),
        ("steps:\n- {name: a, type: set, needs: [a]}", 5, "`a` → `a`", "Remove"),
        ("steps:\n- {name: a, type: set, needs: [a], dependsOn: []}", 5, "stands beside `needs`", "Keep `needs`"),
        (
            "steps:\n- {name: a, type: set, config: {x: '{{ steps.b.outputs.x }}'}}\n- {name: b, type: set}",
            5, "`b` need not have ended when `a` starts", "Add `b` to the `needs` of `a`",
        ),
        ("steps:\n- {name: a, type: set, config: {x: '{{ steps.a.outputs.x }}'}}", 5, "its own outputs", ""),
        (
            "steps:\n- {name: create, type: set}\n- {name: b, type: set, if: steps.creat.outputs.x}",
            6, "no step `creat`", "Did you mean `create`?",
        ),
        ("steps:\n- {name: a, type: set, if: '{{ paramters.x }}'}", 5, "`paramters` is not defined", "Did you mean `parameters`?"),
        ("steps:\n- {name: a, type: set, if: 'x and'}", 5, "cannot be read", ""),
        ("steps:\n- {name: a, type: set, when: onSuccess}", 5, "is none of", "Did you mean `on_success`?"),
        ("steps:\n- {name: a, type: set, timeout: soon}", 5, "must be a duration", "`10m`"),
        ("steps:\n- {name: a, type: set, timeout: 0}", 5, "longer than nothing", ""),
        ("steps:\n- {name: a, type: set, retry: 3}", 5, "must be a mapping", ""),
        ("steps:\n- {name: a, type: set, retry: {max: -1}}", 5, "from 0 to 100", ""),
        ("steps:\n- {name: a, type: set, retry: {max: 1, backof: 1s}}", 5, "`backof`", "`backoff`"),
        ("steps:\n- {name: a, type: set, idempotent: maybe}", 5, "true or false", ""),
        ("steps:\n- {name: a, type: set, artifacts: [../x]}", 5, "no path in the workspace", ""),
        ("steps:\n- {name: a, type: set, artifacts: [/x]}", 5, "no path in the workspace", ""),
        ("steps:\n- {name: a, type: set, outputFrom: json, config: {outputFrom: json}}", 5, "also in `config`", ""),
        ("steps:\n- {name: a, type: set, config: {x: ['{{ parameters.y }}']}}", 5, "`parameters.y` is not declared", "Declare"),
        ("steps:\n- {name: a, type: set, config: {x: '{{ if .parameters.y }}'}}", 5, "Go templates", "Write"),
        ("steps:\n- {name: a, type: set, parallelGroup: 1}\n- {name: b, type: set}\n- {name: c, type: set, parallelGroup: 1}", 7, "has ended", ""),
        ("steps: [{name: a, type: set}]\noutputs: {x: '{{ steps.b.outputs.x }}'}", 5, "no step `b`", ""),
        ("steps: [{name: a, type: set}]\noutputs: {'a b': 1}", 5, "name of an output", ""),
        ("steps: [{name: a, type: set}]\nparameters: [{name: x, type: strng}]", 5, "`strng`", "Did you mean `string`?"),
        ("steps: [{name: a, type: set}]\nparameters: [{name: x, type: int, default: a}]", 5, "default does not fit", ""),
        ("steps: [{name: a, type: set}]\nparameters: [{name: x, type: enum}]", 5, "needs its values", ""),
        ("steps: [{name: a, type: set}]\nparameters: [{name: x, pattern: '(a+)+'}]", 5, "forever", "character class"),
        ("steps: [{name: a, type: set}]\nparameters: [{name: x, min: 3, max: 1}]", 5, "larger than", ""),
        ("steps: [{name: a, type: set}]\nparameters: [{name: x}, {name: x}]", 5, "declared twice", ""),
        ("steps: [{name: a, type: set}]\nparameters: [{name: x, default: '{{ parameters.y }}'}, {name: y}]", 5, "before this one", ""),
        ("steps: [{name: a, type: set}]\nparameters: [{name: x, requird: true}]", 5, "`requird`", "Did you mean `required`?"),
        ("spec: {steps: [{name: a, type: set}]}\nsteps: []", 5, "stands beside `spec`", "Move it"),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_line_and_the_remedy(body: str, line: int, said: str, fix: str) -> None:
    problems = refused(HEAD + body)
    assert any(p.line == line and said in p.message and fix in p.fix and p.file == "w.yaml" for p in problems), [
        str(problem) for problem in problems
    ]


def test_all_faults_are_told_at_once() -> None:
    problems = refused("apiVersion: v9\nkind: Wrkflow\nmetadata: {}\nsteps:\n- {name: a, type: st, whn: always}\n")
    assert {p.code for p in problems} >= {"api_version", "kind", "missing_key", "unknown_step_type", "unknown_key"}
    assert [p.line for p in problems] == sorted(p.line for p in problems)


def test_config_is_judged_by_its_step_type() -> None:
    def check(step_type: str, config: JsonObject) -> list[Wrong]:
        assert (step_type, config["outputFrom"]) == ("policy", "jsn")
        return [Wrong(("scrpt",), "unknown key `scrpt`", "did you mean `script`?"), Wrong(("outputFrom",), "not known")]

    text = HEAD + "steps:\n- name: a\n  type: policy\n  outputFrom: jsn\n  config:\n    scrpt: x\n"
    _, problems = read(text, check_config=check, step_types={"policy"})
    assert [(p.line, p.path, p.code) for p in problems] == [
        (7, "steps[0].outputFrom", "step_config"),
        (9, "steps[0].config.scrpt", "step_config"),
    ]
    assert problems[1].fix == "Did you mean `script`?"


def test_inputs_of_every_provisioner_need_no_declaration() -> None:
    guarded = "{{ parameters.extra | default('x') }}"
    body = "steps: [{name: a, type: set, config: {x: '{{ parameters.resource_name }}', y: \"" + guarded + '"}}]'
    assert workflow(HEAD + body).steps


def test_number_of_steps_is_limited() -> None:
    body = "steps:\n" + "".join(f"- {{name: s{i}, type: set}}\n" for i in range(201))
    assert "at most 200" in refused(HEAD + body)[0].message


@pytest.mark.parametrize(
    "text", ["", "[]", "a", "null", "steps: [", "!!python/object:os.system x", "\0", "a: &a [*a]", "- - -"]
)
def test_what_is_no_workflow_is_refused(text: str) -> None:
    assert refused(text)


LINES = st.sampled_from(
    [*WHOLE.splitlines(), *EARLIER.splitlines(), "x: [", "  - null", "steps: 3", "config: []", "needs: {}"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=25).map("\n".join))
def test_no_document_breaks_the_reader(text: str) -> None:
    found, problems = read(text)
    assert (found is None) == bool(problems)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(2, 12).flatmap(lambda n: st.lists(st.sets(st.integers(0, n - 1), max_size=4), min_size=n, max_size=n))
)
def test_steps_come_after_what_they_need_or_the_cycle_is_named(needs: list[set[int]]) -> None:
    body = "".join(
        f"- {{name: s{i}, type: t, needs: [{', '.join(f's{n}' for n in sorted(e))}]}}\n" for i, e in enumerate(needs)
    )
    found, problems = read(HEAD + "steps:\n" + body)
    if found is None:
        assert [problem.code for problem in problems] == ["cycle"]
        return
    seen: set[str] = set()
    for step in found.steps:
        assert set(step.needs) <= seen
        seen.add(step.name)
