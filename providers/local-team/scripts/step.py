"""How a script and the engine talk: inputs from a file, outputs to a file, failures as one line for people."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

Object = dict[str, Any]
"""JSON as it enters; each reader below narrows it."""

TRY_AGAIN_LATER = 75


class Failed(Exception):
    """Something a person has to know, and trying again does not help. The message says how to get what is missing."""

    exit_code = 78


class NotNow(Failed):
    """The same call may work later."""

    exit_code = TRY_AGAIN_LATER


def inputs() -> Object:
    """Everything the engine gives this run, parameters and `resource` included."""
    loaded: object = json.loads(Path(os.environ["INNOMINATUS_INPUTS"]).read_text(encoding="utf-8"))
    return cast("Object", loaded) if isinstance(loaded, dict) else {}


def previous_outputs(given: Object) -> Object:
    """What the resource's last run gave out; empty before the first one."""
    resource: object = given.get("resource")
    outputs: object = cast("Object", resource).get("outputs") if isinstance(resource, dict) else None
    return cast("Object", outputs) if isinstance(outputs, dict) else {}


def resource_identity(given: Object) -> tuple[str, str, str]:
    """(environment, class, id): what makes this resource the same one on the next run."""
    resource = cast("Object", given["resource"])
    return str(given.get("environment", "default")), str(resource.get("class", "default")), str(resource["id"])


def provider_data() -> Path:
    """The folder of this provider in the platform's data directory."""
    return Path(os.environ["INNOMINATUS_PROVIDER_DATA"])


def write_outputs(values: Mapping[str, object]) -> None:
    """Hand the outputs to the engine with their types (a port stays a number)."""
    lines = [f"{name}:={json.dumps(value)}\n" for name, value in values.items()]
    with Path(os.environ["INNOMINATUS_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(lines)


def run(operations: Mapping[str, Callable[[Object], Mapping[str, object]]]) -> None:
    """Perform the operation that `$OPERATION` names and write what it returns."""
    try:
        write_outputs(operations[os.environ["OPERATION"]](inputs()))
    except Failed as failure:
        print(failure, file=sys.stderr)
        raise SystemExit(failure.exit_code) from None
    except Exception as error:  # noqa: BLE001 - the one place of a script: people get a line, the log the whole story
        traceback.print_exc(file=sys.stdout)
        print(f"{type(error).__name__}: {str(error).strip()}", file=sys.stderr)
        raise SystemExit(1) from None
