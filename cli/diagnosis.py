"""A diagnosis in words for a terminal, with the commands that come next ready to paste."""

from cli.session import Session, note, say
from cli.text import as_object, as_objects, as_text, clean, shown
from engine.domain.diagnosis import Do
from engine.domain.values import JsonObject

_MEANS = {
    "spec": "what was asked for has to change",
    "provider": "the provider, or the system it works with, has to be mended",
    "credentials": "the credentials, or their rights",
    "quota": "a limit, or no room",
    "dependency": "something it needs is not there",
    "timeout": "it took too long",
    "platform": "the engine, or the machine it runs on",
    "cancelled": "somebody ended it",
}


def print_diagnosis(session: Session, found: JsonObject) -> None:
    """The answer to "why?", most important first."""
    if not found.get("failed"):
        say("Nothing has failed.")
        return
    cause = as_text(found.get("cause"))
    say(clean(as_text(found.get("says"))))
    say(f"\ncause     {cause}: {_MEANS.get(cause, '')} ({shown(found.get('evidence'))})")
    node, step = as_object(found.get("node")), as_object(found.get("step"))
    say(f"failed    {_named(node)}")
    if step:
        say(f"step      {shown(step.get('step_name'))} ({shown(step.get('step_type'))}), attempt {step.get('attempt')}")
    retry = as_object(found.get("retry"))
    say(f"retry     {shown(retry.get('safety'))}: {shown(retry.get('why'))}")
    _print_way(as_objects(found.get("chain")))
    _print_list("failed as well", [f"{shown(o.get('name'))}: {shown(o.get('says'))}" for o in _of(found, "also")])
    left = [f"{shown(o.get('kind'))} {shown(o.get('name'))}: {shown(o.get('how'))}" for o in _of(found, "left_behind")]
    _print_list("left behind", left)
    if log := as_text(found.get("log")):
        say("\nlog")
        for line in log.splitlines():
            say(f"  | {clean(line)}")
    say("\nnext")
    for move in _of(found, "next"):
        command = _command(session, move)
        say(f"  {shown(move.get('why'))}")
        if command:
            say(f"    {command}")


def note_warning(done: JsonObject) -> None:
    """What speaks against a retry that has started all the same."""
    if warning := as_text(done.get("warning")):
        note(f"Warning: {warning}")


def _of(found: JsonObject, name: str) -> list[JsonObject]:
    return as_objects(found.get(name))


def _named(node: JsonObject) -> str:
    where = f" in {shown(node.get('environment'))}" if node.get("environment") else ""
    resource = f"resource {shown(node.get('resource_id'))} {shown(node.get('name'))}{where}"
    run = f"execution {shown(node.get('execution_id'))} of {shown(node.get('workflow_name'))}"
    if node.get("resource_id") is None:
        return run
    return f"{resource}, {run}" if node.get("execution_id") is not None else resource


def _print_way(chain: list[JsonObject]) -> None:
    """The way down from what was asked about; one hop is no way."""
    if len(chain) > 1:
        _print_list("because", [f"{shown(node.get('name'))}: {shown(node.get('why'))}" for node in chain])


def _print_list(title: str, lines: list[str]) -> None:
    if lines:
        say(f"\n{title}")
        for line in lines:
            say(f"  {line}")


_COMMANDS: dict[str, tuple[str, ...]] = {
    Do.CORRECT_SPEC: ("deploy", "SPEC.yaml"),
    Do.RUN_AGAIN: ("run", "{workflow_name}", "--param", "NAME=VALUE"),
    Do.READ_LOG: ("workflow", "logs", "{execution_id}", "--step", "{step_name}"),
    Do.SEE_RESOURCE: ("resource", "{resource_id}"),
    Do.SEE_EXECUTION: ("workflow", "detail", "{execution_id}"),
    Do.RETRY_RESOURCE: ("resource", "retry", "{resource_id}"),
    Do.RETRY_EXECUTION: ("workflow", "retry", "{execution_id}"),
    Do.RESOLVE_RESOURCE: ("resource", "resolve", "{resource_id}", "--as", "active|gone"),
}


def _command(session: Session, move: JsonObject) -> str:
    """The command line of a move; empty for what is done elsewhere."""
    words = _COMMANDS.get(as_text(move.get("do")), ())
    given = [shown(move.get(word[1:-1])) if word.startswith("{") else word for word in words]
    return session.command(*given, environment=as_text(move.get("environment"))) if words else ""
