"""A provider folder for tests: steps of `set`, a gate that a person opens, and a check that can be made to pass.

Params: `note` is free text; `password` is secret; `needs_file` names a file that must be there.
"""

from pathlib import Path

_HEAD = "apiVersion: innominatus.io/v1\nkind: Workflow\nmetadata: {name: %s}\n"
_PARAMETERS = """\
parameters:
  - {name: size, type: int, default: 1}
  - {name: note, type: string, default: ""}
  - {name: password, type: string, default: "", secret: true}
  - {name: needs_file, type: string, default: ""}
"""
_MAKE = """\
steps:
  - name: made
    type: set
    config:
      values: {host: "{{ resource.id }}.test", size: "{{ parameters.size }}", seen: "{{ parameters.note }}", key: s3cret-key}
    secretOutputs: [key]
outputs:
  host: "{{ steps.made.outputs.host }}"
  size: "{{ steps.made.outputs.size }}"
  seen: "{{ steps.made.outputs.seen }}"
  key: {value: "{{ steps.made.outputs.key }}", secret: true}
"""
_GATE = "  - {name: gate, type: set, when: manual, config: {values: {open: true}}}\n"
_CHECK = """\
  - name: check
    type: validation
    config: {checks: [{name: file, command: {argv: [test, -f, "{{ parameters.needs_file }}"]}}]}
"""
_WORKLOAD = """\
parameters:
  - {name: workload, type: object, required: true}
steps:
  - {name: rendered, type: set, config: {values: {containers: "{{ parameters.workload.containers }}"}}, secretOutputs: [containers]}
outputs:
  containers: {value: "{{ steps.rendered.outputs.containers }}", secret: true}
"""
_REMOVE = "steps:\n  - {name: removed, type: set, config: {values: {gone: true}}}\n"
_GOLDEN = """\
parameters:
  - {name: name, type: string, required: true, pattern: "[a-z]+"}
  - {name: size, type: int, default: 1, min: 0, max: 9}
  - {name: token, type: string, secret: true, default: ""}
steps:
  - {name: greeted, type: set, config: {values: {text: "hello {{ parameters.name }}"}}}
outputs: {text: "{{ steps.greeted.outputs.text }}"}
"""
_WAITING = "steps:\n" + _GATE + "  - {name: after, type: set, config: {values: {done: true}}}\n"

_WORKFLOWS = {
    "make": _PARAMETERS + _MAKE,
    "make-small": _PARAMETERS + _MAKE,
    "change": _PARAMETERS + _MAKE,
    "remove": _REMOVE,
    "make-gated": _PARAMETERS + _MAKE.replace("steps:\n", "steps:\n" + _GATE),
    "change-gated": _PARAMETERS + _MAKE.replace("steps:\n", "steps:\n" + _GATE),
    "remove-gated": _REMOVE.replace("steps:\n", "steps:\n" + _GATE),
    "make-fragile": _PARAMETERS + _MAKE.replace("steps:\n", "steps:\n" + _CHECK),
    "change-fragile": _PARAMETERS + _MAKE.replace("steps:\n", "steps:\n" + _CHECK),
    "deploy": _WORKLOAD,
    "undeploy": _REMOVE,
    "hello": _GOLDEN,
    "waiting": _WAITING,
}
_PLAIN = "{create: {workflow: make}, update: {workflow: change}, delete: {workflow: remove}}"
_SCHEMA = """\
      params:
        type: object
        additionalProperties: false
        properties:
          size: {type: integer, minimum: 1, maximum: 100}
          note: {type: string}
          password: {type: string, writeOnly: true}
          needs_file: {type: string}
"""
_TYPES = {
    "database": (_PLAIN, "      aliases: [db]\n"),
    "cache": ("{create: {workflow: make}, delete: {workflow: remove}}", ""),
    "keeper": ("{create: {workflow: make}}", ""),
    "gated": (
        "{create: {workflow: make-gated}, update: {workflow: change-gated}, delete: {workflow: remove-gated}}",
        "",
    ),
    "fragile": (
        "{create: {workflow: make-fragile}, update: {workflow: change-fragile}, delete: {workflow: remove}}",
        "",
    ),
    "vault": (_PLAIN, "      protect: [production]\n"),
    "archive": (_PLAIN, "      retain: [production]\n"),
}
_OUTPUTS = "      outputs: [{name: host}, {name: size, type: integer}, {name: seen}, {name: key, secret: true}]\n"


def write(
    folder: Path, *, name: str = "test-team", types: frozenset[str] | None = None, workloads: bool = True
) -> Path:
    """The provider in `folder`, with some of its types or all; `workloads` false leaves out who deploys containers."""
    kinds = {kind: told for kind, told in _TYPES.items() if types is None or kind in types}
    entries = [
        f"    - type: {kind}\n      operations: {operations}\n{_SCHEMA}{_OUTPUTS}{more}"
        for kind, (operations, more) in kinds.items()
    ]
    if workloads:
        deploy = "{create: {workflow: deploy}, update: {workflow: deploy}, delete: {workflow: undeploy}}"
        entries.append(f"    - type: workload\n      operations: {deploy}\n")
    listed = [f"  - {{name: {w}, file: workflows/{w}.yaml, {_category(w)}}}\n" for w in _WORKFLOWS]
    (folder / "workflows").mkdir(parents=True, exist_ok=True)
    for workflow, text in _WORKFLOWS.items():
        (folder / "workflows" / f"{workflow}.yaml").write_text(_HEAD % workflow + text)
    manifest = f"apiVersion: v1\nkind: Provider\nmetadata: {{name: {name}, version: 1.0.0}}\n"
    manifest += "capabilities:\n  resourceTypeCapabilities:\n" + "".join(entries) + "workflows:\n" + "".join(listed)
    (folder / "provider.yaml").write_text(manifest)
    return folder


def _category(workflow: str) -> str:
    if workflow in {"hello", "waiting"}:
        return "category: goldenpath"
    operation = ", operation: delete" if workflow.startswith(("remove", "undeploy")) else ""
    return f"category: provisioner{operation}"
