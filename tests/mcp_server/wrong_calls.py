"""Calls as models get them wrong, over all tools."""

from dataclasses import dataclass

from tests.mcp_server.conftest import Caller, score

Arguments = dict[str, object]


@dataclass(frozen=True)
class World:
    """What is there to be called wrongly about."""

    box: object
    """A resource that is active and declared by a spec."""
    extra: object
    """An active one beside the spec."""
    broken: object
    """A failed one."""
    failure: object
    """The execution that failed."""
    greeted: object
    """One that succeeded."""
    waiting: object
    """One that waits for a person."""
    plan_hash: object
    """Of a plan that has been applied."""


async def made(call: Caller) -> World:
    shop = await call.ok("submit_spec", spec_yaml=SHOP, wait_seconds=20)
    plan = await call.ok("submit_spec", spec_yaml=_box(size="large"), dry_run=True)
    await call.ok("submit_spec", spec_yaml=_box(size="large"), plan_hash=plan["plan_hash"], wait_seconds=20)
    inputs = {"app_name": "shop", "resource_name": "extra"}
    await call.ok("execute_workflow", workflow_name="provision-parcel", inputs=inputs, wait_seconds=20)
    there = await call.ok("list_resources", application="shop")
    ruin = await call.ok("submit_spec", spec_yaml=score("ruin", "bad: {type: brittle}"), wait_seconds=20)
    bad = next(row for row in ruin.rows("resources") if row["state"] == "failed")
    greeted = await call.ok("execute_workflow", workflow_name="greet", inputs={"name": "Ann"}, wait_seconds=20)
    waiting = await call.ok("execute_workflow", workflow_name="ask")
    return World(
        box=next(row["id"] for row in shop.rows("resources") if row["name"] == "box"),
        extra=next(row["id"] for row in there.rows() if row["name"] == "extra"),
        broken=bad["id"],
        failure=bad["execution_id"],
        greeted=greeted["execution_id"],
        waiting=waiting["execution_id"],
        plan_hash=plan["plan_hash"],
    )


def _box(**params: str) -> str:
    inside = ", ".join(f"{name}: {value}" for name, value in params.items())
    return score("shop", f"box: {{type: parcel, params: {{{inside}}}}}")


SHOP = _box(size="small")
_READING = "box: {type: parcel}, mail: {type: parcel, params: {pin: '${resources.box.addres}'}}"
_BLOCK = """\
apiVersion: score.dev/v1b1
metadata:
  name: block
containers:
  main:
    image: .
    variables:
      A: "1"
resources:
  box:
    type: parcel
    params:
      size: large
"""


def every(at: World) -> list[tuple[str, Arguments]]:
    return [*_names(), *_arguments(at), *_specs(at), *_inputs(at), *_transitions(at)]


def _names() -> list[tuple[str, Arguments]]:
    """Tools, providers, workflows and applications that are not there."""
    return [
        ("list_provider", {}),
        ("list_golden_path", {}),
        ("get_workflows_status", {"execution_id": 1}),
        ("submit_specs", {"spec_yaml": SHOP, "dry_run": True}),
        ("list_executions", {}),
        ("explain_capabilities", {"resource_type": "parcel"}),
        ("get_provider_details", {"provider_name": "mcp-taem"}),
        ("get_provider_details", {"provider_name": "MCP Team"}),
        ("get_provider_details", {"provider_name": "zzz"}),
        ("execute_workflow", {"workflow_name": "gret", "inputs": {"name": "Ann"}}),
        ("execute_workflow", {"workflow_name": "onboard", "inputs": {}}),
        ("execute_workflow", {"workflow_name": "delete-parcel", "inputs": {}}),
        ("execute_workflow", {"workflow_name": "provision-parsel", "inputs": {"app_name": "shop"}}),
        ("explain_capability", {"resource_type": "parsel"}),
        ("explain_capability", {"resource_type": "database"}),
        ("get_graph", {"application": "shpo"}),
        ("get_graph", {"application": "elsewhere"}),
        ("get_graph", {"application": "shop", "environment": "prod"}),
        ("list_events", {"application": "shopp"}),
        ("list_events", {"application": "nobody-at-all"}),
        ("delete_application", {"application": "shpo", "dry_run": True}),
        ("delete_application", {"application": "shop", "environment": "stagin", "dry_run": True}),
    ]


def _arguments(at: World) -> list[tuple[str, Arguments]]:
    """Misspelt, unknown, missing, of the wrong type, out of range."""
    return [
        ("submit_spec", {"spec_yml": SHOP, "dry_run": True}),
        ("submit_spec", {"spec_yaml": SHOP, "dryrun": True}),
        ("submit_spec", {"spec_yaml": SHOP, "dry_run": "perhaps"}),
        ("submit_spec", {"dry_run": True}),
        ("submit_spec", {"spec_yaml": 7, "dry_run": True}),
        ("submit_spec", {"spec_yaml": SHOP, "dry_run": True, "environment": "Pro Duction"}),
        ("submit_spec", {"spec_yaml": SHOP, "idempotency_key": "k" * 300}),
        ("list_providers", {"verbose": True}),
        ("list_providers", {"serch": "parcel"}),
        ("list_providers", {"limit": 1000}),
        ("list_golden_paths", {"limit": 0}),
        ("list_golden_paths", {"limit": "many"}),
        ("get_provider_details", {}),
        ("get_provider_details", {"provider": "mcp-team"}),
        ("get_workflow_status", {}),
        ("get_workflow_status", {"execution_id": "the newest"}),
        ("get_workflow_status", {"execution_id": f"execution {at.greeted}"}),
        ("get_workflow_status", {"execution_id": -1}),
        ("get_workflow_status", {"execution_id": 999_999}),
        ("get_workflow_status", {"execution_id": at.greeted, "logs": "all"}),
        ("get_workflow_status", {"execution_id": at.greeted, "wait_seconds": 600}),
        ("get_workflow_status", {"execution_id": at.greeted, "detail": "everything"}),
        ("get_workflow_status", {"execution_id": at.failure, "step": "brake"}),
        ("get_workflow_status", {"execution_id": at.greeted, "step": "deploy"}),
        ("get_workflow_status", {"execution_id": at.greeted, "wait_seconds": -1, "logs": "full", "verbose": True}),
        ("list_workflow_executions", {"status": "fail"}),
        ("list_workflow_executions", {"state": "failed"}),
        ("list_workflow_executions", {"status": "broken", "limit": 5}),
        ("list_workflow_executions", {"cursor": "page-2"}),
        ("list_workflow_executions", {"limit": 2.5}),
        ("list_resources", {"state": "gone"}),
        ("list_resources", {"resource_type": "parcel"}),
        ("list_resources", {"cursor": "../x"}),
        ("list_resources", {"app": "shop"}),
        ("get_resource_details", {"resource_id": 999_999}),
        ("get_resource_details", {"resource_id": at.box, "include": ["output"]}),
        ("get_resource_details", {"resource_id": at.box, "include": "outputs"}),
        ("get_resource_details", {"resource": at.box}),
        ("list_specs", {"name": "shop"}),
        ("list_specs", {"limit": 101, "detail": "brief"}),
        ("list_events", {"cursor": "yesterday"}),
        ("list_events", {"types": ["resource"]}),
        ("get_graph", {"application": "shop", "at": "last week"}),
        ("validate_provider", {}),
        ("validate_provider", {"files": "provider.yaml"}),
        ("explain_capability", {"type": "parcel"}),
    ]


def _specs(at: World) -> list[tuple[str, Arguments]]:
    sources = [
        SHOP.replace("metadata", "metdata"),
        SHOP.replace("containers:", "container:"),
        SHOP.replace("type: parcel", "type: parsel"),
        SHOP.replace("type: parcel", "typ: parcel"),
        SHOP.replace("score.dev/v1b1", "score.dev/v1"),
        SHOP.replace("name: shop", "name: My_Shop"),
        SHOP.replace("size: small", "size: huge"),
        SHOP.replace("size: small", "sise: small"),
        SHOP.replace("size: small", "colour: red"),
        SHOP.replace("image: .", "imag: ."),
        score("shop", _READING),
        score("shop", _READING.replace("box.addres", "bx.address")),
        score("shop", _READING.replace("resources.box.addres", "resource.box.address")),
        _BLOCK.replace("    image", "\timage"),
        _BLOCK.replace("    variables", "   variables"),
        _BLOCK.replace('"1"', '"1'),
        _BLOCK.replace("name: block", "name block"),
        _BLOCK.replace("name: block", "name: block\n  name: block"),
        _BLOCK.replace("params:\n      size: large", "params: {size: large"),
        _BLOCK.replace('"1"', "*one"),
        _BLOCK.replace("params:\n      size: large", "params: large"),
        f"```yaml\n{_BLOCK}```\n",
    ]
    dry: list[tuple[str, Arguments]] = [("submit_spec", {"spec_yaml": text, "dry_run": True}) for text in sources]
    return [
        *dry,
        ("submit_spec", {"spec_yaml": SHOP, "plan_hash": at.plan_hash}),
        ("submit_spec", {"spec_yaml": score("shop"), "prune": True}),
    ]


def _inputs(at: World) -> list[tuple[str, Arguments]]:
    greetings: list[Arguments] = [
        {"nam": "Ann"},
        {"name": "Ann", "times": 9},
        {"name": "Ann", "times": 0},
        {"name": "Ann", "times": "two"},
        {"name": 5},
        {"name": "Ann", "colour": "red"},
        {"name": "x" * 200},
    ]
    runs: list[tuple[str, Arguments]] = [
        ("execute_workflow", {"workflow_name": "greet", "inputs": given}) for given in greetings
    ]
    return [
        *runs,
        ("execute_workflow", {"workflow_name": "greet"}),
        ("execute_workflow", {"workflow_name": "greet", "inputs": ["Ann"]}),
        ("execute_workflow", {"workflow_name": "greet", "input": {"name": "Ann"}}),
        ("execute_workflow", {"workflow_name": "greet", "parameters": {"name": "Ann"}}),
        ("execute_workflow", {"workflow_name": "provision-parcel"}),
        ("execute_workflow", {"workflow_name": "provision-parcel", "inputs": {"app_name": "shop", "size": "huge"}}),
        ("execute_workflow", {"workflow_name": "provision-parcel", "inputs": {"app_name": "shop", "sizes": "small"}}),
        ("execute_workflow", {"inputs": {"name": "Ann"}}),
    ]


def _transitions(at: World) -> list[tuple[str, Arguments]]:
    return [
        ("retry", {}),
        ("retry", {"execution_id": at.failure, "resource_id": at.broken}),
        ("retry", {"execution_id": at.greeted}),
        ("retry", {"execution_id": at.waiting}),
        ("retry", {"execution_id": 999_999}),
        ("retry", {"resource_id": at.box}),
        ("retry", {"resource_id": 999_999}),
        ("retry", {"id": at.failure}),
        ("cancel", {"execution_id": at.greeted}),
        ("cancel", {"execution_id": 999_999}),
        ("cancel", {}),
        ("delete_application", {"application": "shop"}),
        ("delete_application", {"application": "shop", "plan_hash": at.plan_hash}),
        ("delete_application", {"name": "shop", "dry_run": True}),
        ("delete_resource", {"resource_id": at.extra}),
        ("delete_resource", {"resource_id": at.extra, "plan_hash": at.plan_hash}),
        ("delete_resource", {"resource_id": at.box, "dry_run": True}),
        ("delete_resource", {"resource_id": 999_999, "dry_run": True}),
        ("delete_resource", {"resource": at.extra, "dry_run": True}),
    ]
