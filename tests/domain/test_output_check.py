"""A placeholder that reads an output which nobody gives is found before anything is done."""

from dataclasses import replace

import pytest

from engine.domain import spec_reader
from engine.domain.planner import Question, make_plan
from engine.domain.provider import OutputDeclaration, Provider, Registry, ResourceType
from engine.domain.spec import ResourceDeclaration, Spec
from engine.domain.spec_references import output_reads
from engine.domain.values import JsonObject
from engine.errors import Problem
from tests.domain.test_planner import exists, kind


def giving(name: str, *outputs: str, **more: object) -> ResourceType:
    made = kind(name, outputs=tuple(OutputDeclaration(output) for output in outputs), **more)
    return replace(made, params_schema=None)


REGISTRY = Registry(
    (
        Provider(
            "team",
            "1.0.0",
            "d1",
            resource_types=(
                giving("database", "host", "port", "username", "password", "config", aliases=("db",)),
                giving("nested", "outputs"),
                giving("silent"),
                giving("wide", *(f"output{n}" for n in range(30))),
                giving("workload", "directory"),
            ),
        ),
    )
)

DOCUMENT = """\
apiVersion: score.dev/v1b1
metadata: {name: shop}
containers:
  api:
    image: one
    variables:
      FINE: ${resources.db.host}:${resources.db.config.deep.er}
      DATABASE_URL: x://${resources.db.username}:${resources.db.pasword}@${resources.db.host}
    files:
      /etc/app.conf:
        content: |
          host = ${resources.db.hst}
          again = ${resources.db.hst}
      /etc/raw.conf:
        content: ${resources.db.hst}
        noExpand: true
    volumes:
      /data: {source: "${resources.db.folder}"}
resources:
  db: {type: db}
  quiet: {type: silent, params: {any: "${resources.db}"}}
  other:
    type: database
    params:
      list: [{fine: "${resources.quiet.whatever}"}, {wrong: "${resources.db.prot.inner}"}]
"""


def problems(document: str, *, registry: Registry = REGISTRY) -> list[Problem]:
    parsed = spec_reader.read(document)
    assert parsed.spec is not None, parsed.problems
    return list(make_plan(Question("shop", "default", registry, {}, spec=parsed.spec)).problems)


def found(document: str) -> list[tuple[str, int, str, str]]:
    return [(one.path, one.line, one.message, one.fix) for one in problems(document)]


def reading(placeholder: str, kind: str = "db") -> str:
    return (
        "apiVersion: score.dev/v1b1\nmetadata: {name: shop}\n"
        f'containers: {{api: {{image: one, variables: {{A: "{placeholder}"}}}}}}\n'
        f"resources: {{it: {{type: {kind}}}}}\n"
    )


def test_every_unknown_output_is_told_at_once_with_its_place_and_the_nearest_names() -> None:
    told = "reads an output that `database` does not have"
    assert found(DOCUMENT) == [
        (
            "containers.api.variables.DATABASE_URL",
            8,
            f"`${{resources.db.pasword}}` {told}",
            "did you mean `${resources.db.password}`?",
        ),
        (
            'containers.api.files["/etc/app.conf"].content',
            11,
            f"`${{resources.db.hst}}` {told}",
            "did you mean `${resources.db.host}`?",
        ),
        (
            'containers.api.volumes["/data"].source',
            18,
            f"`${{resources.db.folder}}` {told}",
            "its outputs are `host`, `port`, `username`, `password`, `config`",
        ),
        (
            "resources.other.params.list[1].wrong",
            25,
            f"`${{resources.db.prot.inner}}` {told}",
            "did you mean `${resources.db.port.inner}`?",
        ),
    ]
    assert {one.code for one in problems(DOCUMENT)} == {"unknown_output"}


def test_they_are_told_together_with_all_else_that_is_wrong_in_the_order_of_lines() -> None:
    document = DOCUMENT.replace("  db: {type: db}\n", "  db: {type: db}\n  lost: {type: databse}\n")
    assert [(one.line, one.code) for one in problems(document)] == [
        (8, "unknown_output"),
        (11, "unknown_output"),
        (18, "unknown_output"),
        (21, "unknown_resource_type"),
        (26, "unknown_output"),
    ]


def test_the_dialect_is_told_of_in_its_own_places() -> None:
    document = """\
metadata: {name: shop}
apiVersion: score.dev/v1b1
containers:
  api:
    image: one
    env:
      - {name: A, value: "${resources.db.outputs.host}"}
      - {name: B, value: "${resources.db.outputs.hots}"}
resources:
  db: {type: db}
  more: {type: silent, properties: {a: "${resources.db.outputs}"}}
"""
    assert [(path, line, fix) for path, line, _, fix in found(document)] == [
        ("containers.api.env[1].value", 8, "did you mean `${resources.db.outputs.host}`?"),
        (
            "resources.more.properties.a",
            11,
            "its outputs are `host`, `port`, `username`, `password`, `config`",
        ),
    ]


@pytest.mark.parametrize(
    ("placeholder", "kind"),
    [
        ("${resources.it.anything}", "silent"),
        ("${resources.it.outputs.anything}", "nested"),
        ("${resources.it.outputs}", "nested"),
        ("${resources.it.outputs.host}", "db"),
        ("${resources.it}", "db"),
        ("$${resources.it.nothing}", "db"),
    ],
)
def test_what_may_be_there_passes(placeholder: str, kind: str) -> None:
    assert problems(reading(placeholder, kind)) == []


def test_what_no_provider_offers_is_not_judged_twice() -> None:
    assert [one.code for one in problems(reading("${resources.it.x}", "nobodys"))] == ["unknown_resource_type"]


def test_an_addition_is_held_against_what_the_application_has_already() -> None:
    params: JsonObject = {"a": "${resources.it.hots} ${resources.it.host} ${resources.far.x}"}
    spec = Spec(
        "shop",
        {"name": "shop"},
        {},
        resources={"new": ResourceDeclaration("new", "silent", params=params)},
        reads=output_reads({"resources": {"new": {"params": params}}}),
    )
    answer = make_plan(Question("shop", "default", REGISTRY, dict([exists("it")]), spec=spec, partial=True))
    assert [(one.path, one.fix) for one in answer.problems] == [
        ("resources.new.params.a", "did you mean `${resources.it.host}`?")
    ]


def test_a_document_of_nothing_but_mistakes_is_answered_in_bounds() -> None:
    many = " ".join(f"${{resources.it.wrong{n}}}" for n in range(5000))
    told = problems(reading(many, "wide"))
    assert len(told) == 101
    assert (told[-1].code, told[-1].line) == ("too_many_problems", 0)
