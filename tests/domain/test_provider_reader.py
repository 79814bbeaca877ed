import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.params_check import params_problems
from engine.domain.provider import Operation, Provider, ResourceType
from engine.domain.provider_reader import read
from engine.domain.registry_reader import registry_conflicts
from engine.domain.values import JsonObject
from engine.errors import Problem

HEAD = "apiVersion: v1\nkind: Provider\nmetadata: {name: team, version: 1.0.0}\n"
WORKFLOW = "apiVersion: innominatus.io/v1\nkind: Workflow\nmetadata: {name: %s}\nsteps: [{name: a, type: set}]\n"
CREATE = "workflows:\n- {name: create, file: ./workflows/create.yaml, category: provisioner}\n"
WHOLE = """\
apiVersion: v1
kind: Provider
metadata:
  name: database-team
  version: 1.2.0
  category: data
  description: Databases
compatibility: {minCoreVersion: 1.0.0, maxCoreVersion: 2.0.0}
capabilities:
  resourceTypes: [postgres, postgresql, mysql]
  resourceTypeCapabilities:
    - type: postgres
      description: A database
      operations:
        create: {workflow: create}
        update:
          workflows:
            - {name: update, tags: [config]}
            - {name: scale, tags: [scaling]}
          default: update
        delete: {workflow: delete}
      params:
        type: object
        additionalProperties: false
        properties:
          version: {type: string, enum: ["15", "16"], default: "15"}
          replicas: {type: integer, minimum: 1}
          password: {type: string, writeOnly: true}
      outputs: [host, {name: port, type: integer}, {name: password, secret: true, description: The password}]
      examples: [{version: "15"}]
      protect: [production]
      retain: true
      local: true
    - {type: postgresql, aliasFor: postgres}
workflows:
  - {name: create, file: ./workflows/create.yaml, category: provisioner, tags: [database], version: 1.0.0}
  - {name: update, file: ./workflows/update.yaml, operation: update}
  - {name: scale, file: workflows/scale.yaml, operation: update, tags: [scaling]}
  - {name: delete, file: workflows/delete.yaml, operation: delete}
  - {name: mysql-create, file: workflows/mysql.yaml, category: provisioner, tags: [mysql]}
  - {name: onboard, file: workflows/onboard.yaml, category: goldenpath, description: Start here}
"""


def files(manifest: str, **workflows: str) -> dict[str, bytes]:
    found = {"provider.yaml": manifest.encode()}
    return found | {f"workflows/{file}.yaml": (WORKFLOW % name).encode() for file, name in workflows.items()}


def whole(**changes: str) -> dict[str, bytes]:
    names = ("create", "update", "scale", "delete", "onboard")
    return files(WHOLE, **{name: name for name in names}, mysql="mysql-create") | {
        name.replace("__", "/") + ".yaml": text.encode() for name, text in changes.items()
    }


def provider(given_files: dict[str, bytes], **changes: str) -> Provider:
    found, problems = read(given_files, digest=changes.get("digest", "sha256:1"), folder="providers/x")
    assert found is not None, [str(problem) for problem in problems]
    return found


def refused(given_files: dict[str, bytes]) -> tuple[Problem, ...]:
    found, problems = read(given_files, digest="sha256:1", folder="p", step_types={"set"})
    assert found is None
    return problems


def test_whole_provider_is_read() -> None:
    found = provider(whole())
    assert (found.name, found.version, found.category, found.digest) == ("database-team", "1.2.0", "data", "sha256:1")
    postgres = found.resource_type("postgresql")
    assert postgres is found.resource_type("postgres")
    assert postgres is not None
    assert postgres.aliases == ("postgresql",)
    assert postgres.operations[Operation.UPDATE].choose(["scaling"]) == "scale"
    assert postgres.operations[Operation.UPDATE].choose() == "update"
    assert (postgres.secret_outputs, postgres.secret_params) == ({"password"}, {"password"})
    assert postgres.protects("production")
    assert not postgres.protects("dev")
    assert postgres.retains("dev")
    assert postgres.local
    assert postgres.examples == ({"version": "15"},)
    assert [workflow.name for workflow in found.golden_paths] == ["onboard"]
    assert found.workflows["onboard"].definition.description == "Start here"


def test_list_of_types_takes_the_first_provisioner_unless_its_tags_or_operation_say_otherwise() -> None:
    found = provider(whole())
    mysql = found.resource_type("mysql")
    assert mysql is not None
    assert list(mysql.operations) == [Operation.CREATE]
    assert not mysql.local
    assert mysql.operations[Operation.CREATE].choose() == "mysql-create"
    text = HEAD + "capabilities: {resourceTypes: [s3]}\nworkflows:\n"
    text += (
        "- {name: gone, file: workflows/gone.yaml, operation: delete}\n- {name: create, file: workflows/create.yaml}\n"
    )
    other = provider(files(text, gone="gone", create="create")).resource_type("s3")
    assert other is not None
    assert other.operations[Operation.CREATE].default == "create"


@pytest.mark.parametrize(
    ("rest", "line", "said", "fix"),
    [
        ("workflows: [{name: create, file: ../create.yaml}]", 4, "outside of the provider's folder", "below"),
        ("workflows: [{name: create, file: /etc/passwd}]", 4, "outside of the provider's folder", "below"),
        ("workflows: [{name: create, file: workflows/../../x.yaml}]", 4, "outside of the provider's folder", "below"),
        ("workflows: [{name: create, file: workflows/creat.yaml}]", 4, "no file of it", "`workflows/create.yaml`"),
        ("workflows: [{name: create}]", 4, "`file` is missing", "Add"),
        (CREATE + "- {name: create, file: workflows/other.yaml}", 6, "already on line 5", "own"),
        (CREATE + "- {name: other, file: workflows/create.yaml}", 6, "already `create`", "once"),
        (CREATE + "capabilities: {resourceTypeCapabilities: [{type: x, operations: {create: {workflow: creat}}}]}", 6,
         "no workflow `creat`", "Did you mean `create`?"),
        (CREATE + "capabilities: {resourceTypeCapabilities: [{type: x, operations: {creat: {workflow: create}}}]}", 6,
         "Unknown key `creat`", "Did you mean `create`"),
        (CREATE + "capabilities: {resourceTypeCapabilities: [{type: x, operations: {delete: {workflow: create}}}]}", 6,
         "no operation `create`", "Add"),
        (CREATE + "capabilities: {resourceTypeCapabilities: [{type: x, operations: {create: {workflows: [{name: create}, {name: create}], default: z}}}]}",
         6, "default `z`", ""),
        (CREATE + "capabilities: {resourceTypeCapabilities: [{type: x, operations: {create: create}}]}", 6, "must be a mapping", "{workflow: create}"),
        (CREATE + "capabilities: {resourceTypeCapabilities: [{type: x, operations: {create: {}}}]}", 6, "either `workflow` or", ""),
        (CREATE + "capabilities: {resourceTypeCapabilities: [{type: x, aliasFor: y}]}", 6, "no type of this provider", ""),
        (CREATE + "capabilities:\n  resourceTypeCapabilities:\n  - {type: x, operations: {create: {workflow: create}}}\n"
         "  - {type: y, aliasFor: x}\n  - {type: z, aliasFor: y}", 10, "`y`, which is no type", "aliasFor: x"),
        (CREATE + "capabilities:\n  resourceTypeCapabilities:\n  - {type: x, operations: {create: {workflow: create}}}\n  - {type: x, aliasFor: x}",
         9, "already on line 8", "Remove"),
        (CREATE + "capabilities: {resourceTypes: ['a b']}", 6, "cannot be the name", "Use letters"),
        (CREATE + "capabilities: {resourceTypes: [a, a]}", 6, "listed twice", "Remove"),
        (CREATE + "capabilites: {}", 6, "Unknown key `capabilites`", "Did you mean `capabilities`"),
        ("capabilities: {resourceTypes: [a]}", 4, "No workflow creates `a`", "provisioner"),
        ("workflows: [{name: create, file: workflows/create.yaml, category: golden}]", 4, "none of", "`goldenpath`"),
        ("workflows: [{name: create, file: workflows/create.yaml, category: goldenpath, operation: create}]", 4, "golden path", ""),
        ("workflows: [{name: create, file: workflows/create.yaml, operation: destroy}]", 4, "none of", ""),
        (CREATE + "compatibility: {minCoreVersion: 1.0.1}", 6, "at least 1.0.1", "newer"),
        (CREATE + "compatibility: {maxCoreVersion: 0.9}", 6, "at most 0.9", "older"),
        (CREATE + "compatibility: {maxCoreVersion: new}", 6, "no version", "1.0.0"),
        ("", 1, "offers nothing", "List"),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_line_and_the_remedy(rest: str, line: int, said: str, fix: str) -> None:
    problems = refused(files(HEAD + rest, create="create", other="other"))
    assert any(
        p.line == line and said in p.message and fix in p.fix and p.file == "p/provider.yaml" for p in problems
    ), [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("{type: objekt}", "no JSON Schema"),
        ("{type: array}", "`params` are an object"),
        ("{properties: {a: {$ref: 'http://localhost:1/x'}}}", "leads nowhere"),
        ("{properties: {a: {$ref: '#/$defs/x'}}}", "leads nowhere"),
        ("{properties: {a: {pattern: '('}}}", "no JSON Schema"),
        ("[]", "must be a mapping"),
    ],
)
def test_params_must_be_a_schema_that_stands_alone(schema: str, said: str) -> None:
    entry = "{type: x, operations: {create: {workflow: create}}, params: " + schema + "}"
    problems = refused(files(HEAD + CREATE + f"capabilities: {{resourceTypeCapabilities: [{entry}]}}", create="create"))
    assert any(said in p.message for p in problems), [str(problem) for problem in problems]


def test_faults_of_a_workflow_name_its_own_file() -> None:
    problems = refused(files(HEAD + CREATE, create="other"))
    assert [(p.file, p.code) for p in problems] == [("p/workflows/create.yaml", "workflow_name")]
    broken = files(HEAD + CREATE) | {"workflows/create.yaml": (WORKFLOW % "create").replace("set", "sett").encode()}
    assert [(p.file, p.line, p.fix) for p in refused(broken)] == [("p/workflows/create.yaml", 4, "Did you mean `set`?")]


def test_folder_without_manifest_is_told_what_to_add() -> None:
    assert refused({"readme.md": b""})[0].code == "no_manifest"
    assert refused({"provider.yaml": b""})
    assert refused({"provider.yaml": b"\xff\xfe"})
    assert refused({"provider.yaml": b"[]"})
    assert refused({"provider.yaml": b"{}"})


def test_names_claimed_twice_name_both_providers_and_files() -> None:
    one = provider(whole(), digest="sha256:1")
    text = (
        HEAD
        + "capabilities: {resourceTypes: [postgresql]}\nworkflows:\n- {name: create, file: workflows/create.yaml}\n"
    )
    text += "- {name: onboard, file: workflows/onboard.yaml, category: goldenpath}\n"
    two = provider(files(text, create="create", onboard="onboard"), digest="sha256:2")
    problems = registry_conflicts([one, two], files={"sha256:1": "a/provider.yaml", "sha256:2": "b/provider.yaml"})
    claimed = "claimed by multiple providers: database-team (a/provider.yaml), team (b/provider.yaml)"
    assert [p.message for p in problems] == [
        f"Capability conflict: resource type 'postgresql' {claimed}",
        f"Capability conflict: golden path 'onboard' {claimed}",
    ]
    assert "provider name 'team'" in registry_conflicts([two, two])[0].message
    assert registry_conflicts([one]) == []


SCHEMA: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "replicas": {"type": "integer", "minimum": 1, "default": 2},
        "size": {"enum": ["small", "large"]},
        "extensions": {"type": "array", "items": {"type": "string", "maxLength": 5}, "uniqueItems": True},
        "nested": {"type": "object", "additionalProperties": False, "properties": {"key": {"type": "boolean"}}},
    },
}


@pytest.mark.parametrize(
    ("params", "path", "said", "fix"),
    [
        ({}, "", "`name` is missing", "Add `name`."),
        ({"name": "a", "replcas": 2}, "replcas", "Unknown param `replcas`", "Did you mean `replicas`?"),
        ({"name": "A"}, "name", "must match the pattern", ""),
        ({"name": "a", "replicas": "2"}, "replicas", "must be of type integer", ""),
        ({"name": "a", "replicas": 0}, "replicas", "must be at least 1", ""),
        ({"name": "a", "size": "x"}, "size", "must be one of small, large", ""),
        ({"name": "a", "extensions": ["${x.y}", "toolong"]}, "extensions[1]", "at most 5 characters", ""),
        ({"name": ["${x}"]}, "name", "must be of type string", ""),
        ({"name": "a", "replicas": "$${x}"}, "replicas", "must be of type integer", ""),
        ({"name": "a", "nested": {"kez": "${x}"}}, "nested.kez", "Unknown param", "Did you mean `key`?"),
    ],
)
def test_params_that_do_not_suit_are_told(params: JsonObject, path: str, said: str, fix: str) -> None:
    problems = params_problems(ResourceType("x", {}, params_schema=SCHEMA), params)
    assert [(p.path, said in p.message, fix in p.fix) for p in problems] == [(path, True, True)]


def test_params_with_placeholders_wait_for_their_values() -> None:
    params: JsonObject = {
        "name": "X-${a.b}",
        "replicas": "${a.n}",
        "size": "${s}",
        "extensions": ["${e}", "${e}"],
        "nested": "${n}",
    }
    assert params_problems(ResourceType("x", {}, params_schema=SCHEMA), params) == []
    assert "replicas" in params
    assert params_problems(ResourceType("x", {}), {"anything": 1}) == []


def test_no_message_holds_a_param_value() -> None:
    kind = ResourceType("x", {}, params_schema=SCHEMA)
    told = params_problems(kind, {"name": "Hunter2", "size": "Hunter2", "extensions": ["Hunter2", "Hunter2"]})
    assert len(told) >= 3
    assert "Hunter2" not in " ".join(str(problem) for problem in told)


def test_schema_that_refers_to_itself_without_end_is_survived() -> None:
    kind = ResourceType("x", {}, params_schema={"$ref": "#"})
    assert "too deeply" in params_problems(kind, {})[0].message


LINES = st.sampled_from(
    [*WHOLE.splitlines(), "x: [", "    - null", "workflows: 3", "capabilities: []", "      operations: {create: []}"]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(LINES, max_size=30).map("\n".join))
def test_no_manifest_breaks_the_reader(text: str) -> None:
    found, problems = read(whole() | {"provider.yaml": text.encode()}, digest="sha256:1")
    assert (found is None) == bool(problems)
