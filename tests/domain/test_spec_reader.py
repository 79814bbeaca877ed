"""A Score document gets its verdict: all problems at once, each with code, path and line."""

from pathlib import Path

import pytest

from engine.domain.spec import ResourceDeclaration
from engine.domain.spec_reader import read, read_all
from engine.errors import Severity

EXAMPLES = Path(__file__).parents[2] / "examples"
HEAD = "apiVersion: score.dev/v1b1\nmetadata: {name: app}\n"
MAIN = HEAD + "containers:\n  main:\n    image: nginx\n"


def container(lines: str) -> str:
    """A document whose container has these further lines, from line 6 on."""
    return MAIN + "".join(f"    {line}\n" for line in lines.split("\n"))


def resources(lines: str) -> str:
    """A document with these lines below `resources:`, from line 7 on."""
    return MAIN + "resources:\n" + "".join(f"  {line}\n" for line in lines.split("\n"))


BAD: list[tuple[str, str, str, int]] = [
    ("[]", "wrong_type", "", 1),
    ("text", "wrong_type", "", 1),
    (HEAD, "missing_key", "", 1),
    ("metadata: {name: app}\ncontainers: {main: {image: x}}", "missing_key", "", 1),
    (MAIN.replace("v1b1", "v1b2"), "invalid_value", "apiVersion", 1),
    (MAIN.replace("{name: app}", "{}"), "missing_key", "metadata", 2),
    (MAIN.replace("name: app", "name: My_App"), "invalid_value", "metadata.name", 2),
    (MAIN.replace("name: app", "name: a"), "invalid_value", "metadata.name", 2),
    (MAIN.replace("name: app", "name: app-"), "invalid_value", "metadata.name", 2),
    (MAIN.replace("name: app", "name: " + "a" * 64), "invalid_value", "metadata.name", 2),
    (MAIN.replace("name: app", 'name: "app\\n"'), "invalid_value", "metadata.name", 2),
    (MAIN.replace("name: app", "name: 12"), "wrong_type", "metadata.name", 2),
    (MAIN.replace("name: app", "name: app, annotations: {x_: y}"), "invalid_name", "metadata.annotations.x_", 2),
    (MAIN.replace("name: app", "name: app, annotations: {aa: 1}"), "wrong_type", "metadata.annotations.aa", 2),
    (HEAD + "containers: {}", "missing_key", "containers", 3),
    (HEAD + "containers:", "wrong_type", "containers", 3),
    (HEAD + "containers:\n  main: {}", "missing_key", "containers.main", 4),
    (HEAD + "containers:\n  main: {image: ''}", "invalid_value", "containers.main.image", 4),
    (HEAD + "containers:\n  Main: {image: x}", "invalid_name", "containers.Main", 4),
    (HEAD + "containers:\n  main: {imagee: x, image: y}", "unknown_key", "containers.main.imagee", 4),
    (container("command: /bin/sh"), "wrong_type", "containers.main.command", 6),
    (container("args:\n  - ok\n  - 5"), "wrong_type", "containers.main.args[1]", 8),
    (container("variables:\n  A: [1]"), "wrong_type", "containers.main.variables.A", 7),
    (container("variables:\n  A:"), "wrong_type", "containers.main.variables.A", 7),
    (container("variables:\n  A=B: x"), "invalid_name", 'containers.main.variables["A=B"]', 7),
    (container("files:\n  /x: {}"), "choose_one", 'containers.main.files["/x"]', 7),
    (container("files:\n  /x: {content: a, source: b}"), "choose_one", 'containers.main.files["/x"]', 7),
    (container("files:\n  /x: {content: a, mode: 0644}"), "wrong_type", 'containers.main.files["/x"].mode', 7),
    (container("files:\n  /x: {content: a, mode: '0888'}"), "invalid_value", 'containers.main.files["/x"].mode', 7),
    (container("files:\n  /x: {content: a, target: /y}"), "unknown_key", 'containers.main.files["/x"].target', 7),
    (container("files:\n  - {content: a}"), "missing_key", "containers.main.files[0]", 7),
    (container("files:\n  - {content: a, target: /x}\n  - {content: b, target: /x}"), "duplicate_target", "containers.main.files[1]", 8),
    (container("files:\n  /x: {binaryContent: '***'}"), "invalid_value", 'containers.main.files["/x"].binaryContent', 7),
    (container("volumes:\n  /x: {}"), "missing_key", 'containers.main.volumes["/x"]', 7),
    (container("volumes:\n  /x: {source: a, read_only: true}"), "unknown_key", 'containers.main.volumes["/x"].read_only', 7),
    (container("volumes:\n  /x: {source: a, readOnly: 'yes'}"), "wrong_type", 'containers.main.volumes["/x"].readOnly', 7),
    (container("before:\n  other: {ready: started}"), "unknown_container", "containers.main.before.other", 7),
    (container("before:\n  main: {ready: soon}"), "invalid_value", "containers.main.before.main.ready", 7),
    (container("resources: {limits: {memory: 1 GB}}"), "invalid_value", "containers.main.resources.limits.memory", 6),
    (container("resources: {limits: {cpu: 1}}"), "wrong_type", "containers.main.resources.limits.cpu", 6),
    (container("livenessProbe: {}"), "choose_one", "containers.main.livenessProbe", 6),
    (container("livenessProbe:\n  httpGet: {path: /}"), "missing_key", "containers.main.livenessProbe.httpGet", 7),
    (container("livenessProbe:\n  httpGet: {path: /, port: 70000}"), "out_of_range", "containers.main.livenessProbe.httpGet.port", 7),
    (container("livenessProbe:\n  httpGet: {path: /, port: '80'}"), "wrong_type", "containers.main.livenessProbe.httpGet.port", 7),
    (container("livenessProbe:\n  httpGet: {path: /, port: 80.5}"), "wrong_type", "containers.main.livenessProbe.httpGet.port", 7),
    (container("livenessProbe:\n  httpGet: {path: /, port: true}"), "wrong_type", "containers.main.livenessProbe.httpGet.port", 7),
    (MAIN + "service:\n  ports:\n    http: {port: 80, protocol: tcp}", "invalid_value", "service.ports.http.protocol", 8),
    (MAIN + "service:\n  ports:\n    h: {port: 80}", "invalid_name", "service.ports.h", 8),
    (MAIN + "service: {port: 80}", "unknown_key", "service.port", 6),
    (resources("db: {}"), "missing_key", "resources.db", 7),
    (resources("db: {type: p}"), "invalid_value", "resources.db.type", 7),
    (resources("db: {type: postgres, id: Shared}"), "invalid_value", "resources.db.id", 7),
    (resources("db: {type: postgres, id: a..b}"), "invalid_value", "resources.db.id", 7),
    (resources("db: {type: postgres, parms: {}}"), "unknown_key", "resources.db.parms", 7),
    (resources("db: {type: postgres, params: [a]}"), "wrong_type", "resources.db.params", 7),
    (resources("db: {type: workload}"), "reserved_type", "resources.db.type", 7),
    (resources("d_b: {type: postgres}"), "invalid_name", "resources.d_b", 7),
    (resources("db:\n  type: postgres\n  params: {a: {b: ['${resources.db.host}']}}"), "self_reference", "resources.db.params.a.b[0]", 9),
    (resources("db:\n  type: postgres\n  params: {a: '${resources.dbb.host}'}"), "unknown_resource", "resources.db.params.a", 9),
    (resources("aa: {type: xx, params: {p: '${resources.bb.x}'}}\nbb: {type: xx, params: {p: '${resources.aa.x}'}}"), "dependency_cycle", "resources.aa", 7),
    (container("variables:\n  A: ${HOME}"), "unknown_root", "containers.main.variables.A", 7),
    (container("variables:\n  A: ${metadata.nam}"), "key_not_found", "containers.main.variables.A", 7),
    (container("variables:\n  A: ${metadata.name.x}"), "not_a_map", "containers.main.variables.A", 7),
    (container("variables:\n  A: ${metadata}"), "key_required", "containers.main.variables.A", 7),
    (container("files:\n  /x: {content: '${x}'}"), "unknown_root", 'containers.main.files["/x"].content', 7),
    (container("volumes:\n  /x: {source: '${resources.data}'}"), "unknown_resource", 'containers.main.volumes["/x"].source', 7),
    (MAIN + "enviroment: x", "unknown_key", "enviroment", 6),
    (MAIN + "kind: Workflow", "unknown_key", "kind", 6),
]  # fmt: skip


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("text", "code", "path", "line"), BAD)
def test_a_fault_is_named_with_its_place_and_nothing_else_is(
    text: str,
    code: str,
    path: str,
    line: int,
    strict: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    parsed = read(text, strict=strict)
    assert [(problem.code, problem.path, problem.line) for problem in parsed.errors] == [(code, path, line)]
    assert parsed.errors[0].column > 0
    assert parsed.errors[0].fix
    assert parsed.spec is None


DIALECT: list[tuple[str, str, str, int]] = [
    (resources("db:\n  type: postgres\n  properties: {size: small}"), "dialect", "resources.db.properties", 9),
    (container("env: {A: x}"), "dialect", "containers.main.env", 6),
    (container("env:\n  - {name: A, value: x}"), "dialect", "containers.main.env", 6),
    (container("ports: [80]"), "dialect", "containers.main.ports", 6),
    (container("variables:\n  PORT: 8080"), "dialect", "containers.main.variables.PORT", 7),
    (container("livenessProbe:\n  exec: {command: [x]}\n  periodSeconds: 3"), "ignored", "containers.main.livenessProbe.periodSeconds", 8),
    (MAIN + "environment: staging", "dialect", "environment", 6),
    (MAIN + "environment: {type: staging, ttl: 1h30m}", "dialect", "environment", 6),
    (MAIN + "workflows: {deploy: {steps: [{run: 'rm -rf /'}]}}", "ignored", "workflows", 6),
    (MAIN + "variables: {A: 1}", "ignored", "variables", 6),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "path", "line"), DIALECT)
def test_the_dialect_is_accepted_with_one_warning_and_refused_when_strict(
    text: str, code: str, path: str, line: int
) -> None:
    parsed = read(text)
    assert parsed.spec is not None
    assert [(problem.code, problem.path, problem.line) for problem in parsed.warnings] == [(code, path, line)]
    strict = read(text, strict=True)
    assert [(problem.path, problem.line) for problem in strict.errors] == [(path, line)]
    assert strict.warnings == ()


def test_the_dialect_is_translated() -> None:
    spec = read((EXAMPLES / "score-dialect.yaml").read_bytes()).spec
    assert spec is not None
    assert spec.environment == "development"
    assert spec.ttl == 86400
    assert spec.service == {"ports": {"http": {"port": 80, "protocol": "TCP"}}}
    assert spec.resources == {"db": ResourceDeclaration("db", "postgres", params={"version": "15"})}
    assert spec.resources["db"].place(("params", "version")) == (28, 7)
    assert spec.containers["main"] == {
        "image": "nginx:1.27",
        "variables": {"DATABASE_HOST": "${resources.db.outputs.host}", "PORT": "8080", "DEBUG": "true"},
        "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
    }


def test_numbers_in_variables_stay_as_they_were_written() -> None:
    spec = read(container("env: [{name: V, value: 1.10}]\nvariables: {W: 0755, X: 1e3, Y: True}")).spec
    assert spec is not None
    assert spec.containers["main"] == {
        "image": "nginx",
        "variables": {"V": "1.10", "W": "0755", "X": "1e3", "Y": "True"},
    }


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (container("variables: {A: x}\nenv: {A: y}"), "containers.main.env.A"),
        (container("env: [{name: A, value: x}, {name: A, value: y}]"), "containers.main.env[1]"),
        (container("ports: [{name: http, port: 80}, {name: http, port: 81}]"), "containers.main.ports[1]"),
        (resources("db: {type: postgres, params: {a: 1}, properties: {b: 1}}"), "resources.db.properties"),
    ],
)
def test_a_dialect_that_contradicts_itself_is_refused(text: str, path: str) -> None:
    assert [(problem.code, problem.path) for problem in read(text).errors] == [("conflicting_values", path)]


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("90s", 90), ("2h", 7200), ("7d", 604800), ("1h30m", 5400), ("1.5h", 5400), ("500ms", 0.5)]
)
def test_a_ttl_is_read_in_seconds(ttl: str, seconds: float) -> None:
    spec = read(MAIN + f"environment: {{type: dev, ttl: {ttl}}}").spec
    assert spec is not None
    assert spec.ttl == pytest.approx(seconds)


@pytest.mark.parametrize("ttl", ["soon", "5", "-1h", "'1 h'", "9999999d", "1h" * 100])
def test_what_is_no_ttl_is_refused(ttl: str) -> None:
    assert [problem.path for problem in read(MAIN + f"environment: {{type: dev, ttl: {ttl}}}").errors] == [
        "environment.ttl"
    ]


def test_lists_of_files_and_volumes_become_mappings_by_target() -> None:
    text = container("files: [{target: /a, content: x, mode: '600'}]\nvolumes: [{target: /b, source: y}]")
    spec = read(text, strict=True).spec
    assert spec is not None
    assert spec.containers["main"] == {
        "image": "nginx",
        "files": {"/a": {"content": "x", "mode": "600"}},
        "volumes": {"/b": {"source": "y"}},
    }


def test_the_full_example_is_read_whole_and_without_a_warning() -> None:
    parsed = read((EXAMPLES / "score-full.yaml").read_bytes(), strict=True)
    assert parsed.problems == ()
    assert parsed.spec is not None
    assert parsed.spec.application == "full-example"
    assert list(parsed.spec.containers) == ["prepare", "main"]
    assert parsed.spec.resources["db"] == ResourceDeclaration(
        name="db",
        type="postgres",
        id="shared.db",
        params={"version": "15"},
        metadata={"annotations": {"example.com/cost-center": "42"}},
    )
    assert parsed.spec.resources["db"].place(())[0] == 68


def test_all_problems_are_reported_at_once_in_the_order_of_their_lines() -> None:
    text = MAIN.replace("app", "App").replace("image", "imagee") + "resources: {db: {typ: postgres}}\nresources: {}\n"
    parsed = read(text, file="score.yaml")
    assert [(problem.line, problem.code) for problem in parsed.problems] == [
        (2, "invalid_value"),
        (4, "missing_key"),
        (5, "unknown_key"),
        (6, "missing_key"),
        (6, "unknown_key"),
        (7, "yaml_duplicate_key"),
    ]
    assert {problem.file for problem in parsed.problems} == {"score.yaml"}


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (container("imag: x"), "did you mean `image`?"),
        (container("volume: {}"), "did you mean `volumes`?"),
        (MAIN.replace("name: app", "name: My App"), "write for example `my-app`"),
        (
            container("variables:\n  A: ${resources.dbb.host}") + "resources: {db: {type: xx}}",
            "did you mean `${resources.db.host}`?",
        ),
        (container("variables:\n  A: ${metadta.name}"), "did you mean `${metadata.name}`?"),
        (container("livenessProbe:\n  httpGet: {path: /, port: '80'}"), "remove the quotes: 80"),
        (container("files:\n  /x: {content: a, mode: 0644}"), 'put it in quotes: "0644"'),
        (MAIN + "service: {ports: {http: {port: 80, protocol: tcp}}}", "write `TCP`"),
        (resources("db: {typ: postgres, type: xx}"), "did you mean `type`?"),
    ],
)
def test_a_problem_says_what_to_write_instead(text: str, fix: str) -> None:
    assert [problem.fix for problem in read(text, strict=True).errors] == [fix]


def test_every_cycle_is_named_in_full_once() -> None:
    links = {"aa": "bb", "bb": "cc", "cc": "aa", "dd": "ee", "ee": "dd", "ff": "aa"}
    lines = "\n".join(f"{a}: {{type: xx, params: {{p: '${{resources.{b}.x}}'}}}}" for a, b in links.items())
    assert [problem.message for problem in read(resources(lines)).errors] == [
        "resources wait for each other: aa → bb → cc → aa",
        "resources wait for each other: dd → ee → dd",
    ]


def test_containers_that_wait_for_each_other_are_a_warning_because_score_allows_it() -> None:
    text = MAIN + "    before: {side: {ready: started}}\n  side: {image: x, before: {main: {ready: started}}}\n"
    parsed = read(text, strict=True)
    assert [(problem.code, problem.severity) for problem in parsed.problems] == [("container_cycle", Severity.WARNING)]


def test_a_placeholder_where_none_is_resolved_is_a_warning() -> None:
    parsed = read(container('args: ["${resources.db.host}", "${HOME}"]') + "resources: {db: {type: xx}}", strict=True)
    assert [(problem.code, problem.path) for problem in parsed.problems] == [
        ("placeholder_not_resolved", "containers.main.args[0]")
    ]


def test_resources_are_limited() -> None:
    text = resources("\n".join(f"r-{n}: {{type: xx}}" for n in range(1001)))
    assert [problem.code for problem in read(text).errors] == ["too_many_resources"]
    assert read(text, max_resources=1001).spec is not None


def test_a_long_chain_of_resources_is_no_cycle() -> None:
    chain = "\n".join(f"r-{n}: {{type: xx, params: {{p: '${{resources.r-{n + 1}.x}}'}}}}" for n in range(999))
    assert read(resources(chain + "\nr-999: {type: xx}")).problems == ()


def test_the_most_that_is_reported_is_a_hundred_errors() -> None:
    parsed = read(container("\n".join(f"key{n}: x" for n in range(5000))))
    assert len(parsed.errors) == 101
    assert parsed.errors[-1].code == "too_many_problems"


def test_many_uses_of_the_dialect_are_no_error() -> None:
    parsed = read(resources("\n".join(f"r-{n}: {{type: xx, properties: {{a: b}}}}" for n in range(900))))
    assert parsed.spec is not None
    assert len(parsed.warnings) == 900


def test_a_text_with_several_documents_is_validated_but_not_submitted() -> None:
    both = read_all(f"{MAIN}---\n{MAIN.replace('image', 'imge')}")
    assert [parsed.spec is not None for parsed in both] == [True, False]
    assert [problem.line for problem in both[1].errors] == [10, 11]
    assert [problem.code for problem in read(f"{MAIN}---\n{MAIN}").errors] == ["yaml_multiple_documents"]


@pytest.mark.parametrize("text", ["", b"\xff\xfe", b"\x00" * 10, "a: &a [*a]", "[" * 1000, b"x" * 50_000_000])
def test_what_is_no_yaml_is_refused(text: str | bytes) -> None:
    parsed = read(text)
    assert parsed.spec is None
    assert len(parsed.errors) == 1


@pytest.mark.parametrize("other", ["q-{n}", "r-{pair}"])
def test_thousands_of_containers_that_wait_are_judged_at_once(other: str) -> None:
    lines = [
        f"  r-{n}: {{image: x, before: {{{other.format(n=n, pair=n ^ 1)}: {{ready: started}}}}}}\n" for n in range(4000)
    ]
    assert len(read(HEAD + "containers:\n" + "".join(lines)).problems) in (20, 101)
