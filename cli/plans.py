"""How a plan reads on a terminal, and how a person agrees to it."""

import sys
from pathlib import Path

import typer

from cli.files import within
from cli.session import STYLES, console, say
from cli.text import as_object, as_objects, as_text, clean, in_our_words, shown
from engine.domain.values import JsonObject
from engine.errors import Invalid

_SIGNS = {"create": "+", "update": "~", "delete": "-", "forget": "!", "kept": "=", "blocked": "x", "unchanged": " "}


def print_plan(plan: JsonObject) -> None:
    """What would happen, resource by resource, with the reason and each changed value."""
    from rich.text import Text

    target = console()
    for item in as_objects(plan.get("items")):
        action = as_text(item.get("action"))
        line = Text()
        line.append(f"  {_SIGNS.get(action, '?')} {action:<9} ", style=STYLES.get(action, "dim"))
        line.append(shown(item.get("resource")))
        maker = " ".join(shown(item[key]) for key in ("provider", "workflow") if key in item)
        if maker and action not in {"unchanged", "kept"}:
            line.append(f"  ({maker})", style="dim")
        if reason := in_our_words(shown(item.get("reason"))):
            line.append(f"  {reason}", style="dim")
        target.print(line)
        for change in as_objects(item.get("changes")):
            before, after = (shown(change.get(side)) or "nothing" for side in ("before", "after"))
            target.print(Text(f"      {shown(change.get('path'))}: {before} -> {after}", style="dim"))
    say(f"Plan: {shown(plan.get('summary'))}")


def print_warnings(answer: JsonObject, file: Path) -> None:
    """What is doubtful in the document of `file`."""
    from cli.client import problem_of

    for warning in as_objects(answer.get("warnings")):
        say(clean(f"  warning: {within(problem_of(warning), file)}"))


def nothing_to_do(plan: JsonObject) -> bool:
    """Whether all that is wanted is there and referred to, and nothing of it is under way."""
    items = as_objects(plan.get("items"))
    return not plan.get("has_changes") and all(
        i.get("action") == "kept" or (i.get("action") == "unchanged" and "reason" not in i) for i in items
    )


def plan_of(answer: JsonObject) -> JsonObject:
    return as_object(answer.get("plan"))


def agree(question: str) -> None:
    """Ask the person at the terminal; without one, or with a no, nothing is done."""
    if not sys.stdin.isatty():
        raise Invalid(f"{question} There is nobody to ask.", code="not_confirmed", hint="Say --yes.")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
