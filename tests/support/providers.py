"""Small provider folders for tests: resource types with their workflows, and golden paths."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

NOOP: list[dict[str, Any]] = [{"name": "noop", "type": "set", "config": {"values": {}}}]


def script(name: str, /, text: str, **more: Any) -> dict[str, Any]:
    """A step that runs a shell script; further keys of the step by keyword."""
    return {"name": name, "type": "policy", **more, "config": {"script": text, "interpreter": "sh -e"}}


def values(name: str, /, **given: Any) -> dict[str, Any]:
    """A `set` step."""
    return {"name": name, "type": "set", "config": {"values": given}}


def workflow(steps: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A workflow without its header; `parameters` and `outputs` by keyword."""
    return {"steps": steps, **more}


def kind(
    create: str | None = "noop",
    *,
    update: str | None = None,
    delete: str | None = "noop",
    read: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A resource type: operation → workflow."""
    named = {"create": create, "update": update, "delete": delete, "read": read}
    return {"operations": {name: {"workflow": made} for name, made in named.items() if made}, **more}


def write_provider(
    folder: Path,
    *,
    name: str = "engine-team",
    version: str = "1.0.0",
    kinds: Mapping[str, dict[str, Any]] | None = None,
    workflows: Mapping[str, dict[str, Any]] | None = None,
    golden: Mapping[str, dict[str, Any]] | None = None,
) -> Path:
    """Write a provider folder. Resource types may name the workflow `noop`, which does nothing."""
    made = {"noop": workflow(NOOP), **(workflows or {})} if kinds else dict(workflows or {})
    categories = {**dict.fromkeys(made, "provisioner"), **dict.fromkeys(golden or {}, "goldenpath")}
    (folder / "workflows").mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    for workflow_name, body in {**made, **(golden or {})}.items():
        document = {
            "apiVersion": "innominatus.io/v1",
            "kind": "Workflow",
            "metadata": {"name": workflow_name, "description": workflow_name},
            **body,
        }
        file = f"./workflows/{workflow_name}.yaml"
        (folder / file).write_text(yaml.safe_dump(document, sort_keys=False))
        entry = {"name": workflow_name, "file": file, "category": categories[workflow_name]}
        operations = {
            op for k in (kinds or {}).values() for op, w in k["operations"].items() if w["workflow"] == workflow_name
        }
        if len(operations) == 1 and (operation := operations.pop()) != "create":
            entry["operation"] = operation
        entries.append(entry)
    manifest = {
        "apiVersion": "v1",
        "kind": "Provider",
        "metadata": {"name": name, "version": version, "category": "infrastructure", "description": "For tests"},
        "capabilities": {"resourceTypeCapabilities": [{"type": t, **k} for t, k in (kinds or {}).items()]},
        "workflows": entries,
    }
    (folder / "provider.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return folder
