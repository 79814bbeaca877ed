"""`validation`: checks that something is so: over HTTP, TCP, by a command, in a file; optionally until it is so."""

import os
import shutil
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import BaseModel, Field, model_validator

from engine.domain.values import JsonObject
from engine.steps.base import StepCancelled, StepConfig, StepContext, StepFailed, StepResult, StepTimeout
from engine.steps.fields import RelativePath, Seconds, Text, as_config, refused
from engine.steps.web import WebAddress, fetch, shown

_FILE_BYTES: Final = 10_000_000
_KINDS: Final = ("http", "tcp", "command", "file")


class HttpCheck(StepConfig):
    url: WebAddress
    status: int = Field(default=200, ge=100, le=599, description="The status that it must answer.")
    contains: Text | None = Field(default=None, description="Text that the answer must contain.")
    timeout: Seconds = 10.0
    verify: bool = Field(default=True, description="Check the server's certificate.")


class TcpCheck(StepConfig):
    host: Text = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    timeout: Seconds = 10.0


class CommandCheck(StepConfig):
    argv: tuple[Text, ...] = Field(default=(), description="Program and arguments, read by no shell.")
    script: Text | None = Field(default=None, min_length=1, description="A shell script instead.")
    contains: Text | None = Field(default=None, description="Text that it must print.")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if bool(self.argv) == (self.script is not None):
            raise refused("either `argv` or `script` is needed", "write `argv: [program, argument]`")
        return self


class FileCheck(StepConfig):
    path: RelativePath = Field(description="Below the step's workspace, where artifacts of earlier steps are.")
    exists: bool = True
    contains: Text | None = Field(default=None, description="Text that the file must contain.")


class Check(StepConfig):
    """One check: exactly one of its four kinds."""

    name: Text | None = Field(default=None, description="What the check is called in messages.")
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    command: CommandCheck | None = None
    file: FileCheck | None = None

    @property
    def kinds(self) -> list[str]:
        return [kind for kind in _KINDS if getattr(self, kind) is not None]

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self.kinds) != 1:
            raise refused("a check has exactly one of `http`, `tcp`, `command`, `file`", "write one check per entry")
        return self


class ValidationConfig(StepConfig):
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    command: CommandCheck | None = None
    file: FileCheck | None = None
    checks: tuple[Check, ...] = Field(default=(), description="Several checks; all run, all failures are reported.")
    wait: Seconds | None = Field(default=None, description="Check again until all pass, for at most this long.")
    interval: Seconds = Field(default=1.0, description="Seconds between two rounds of `wait`.")

    @property
    def all_checks(self) -> list[Check]:
        single = [Check.model_validate({kind: value}) for kind in _KINDS if (value := getattr(self, kind)) is not None]
        return [*single, *self.checks]

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.all_checks:
            raise refused("nothing to check", "write `http`, `tcp`, `command`, `file`, or a list under `checks`")
        return self


class ValidationExecutor:
    step_type: ClassVar[str] = "validation"
    Config: ClassVar[type[BaseModel]] = ValidationConfig
    idempotent: ClassVar[bool] = True
    script_fields: ClassVar[frozenset[str]] = frozenset({"command.script", "checks.*.command.script"})

    @staticmethod
    def only_looks(config: JsonObject) -> bool:
        del config
        return True

    def run(self, context: StepContext) -> StepResult:
        config = as_config(context, ValidationConfig)
        pending = config.all_checks
        until = time.monotonic() + (config.wait or 0.0)
        count = len(pending)
        while True:
            failures = [(check, problem) for check in pending if (problem := _problem(context, check))]
            if not failures:
                return StepResult(outputs={"checks": count})
            if time.monotonic() >= min(until, context.deadline):
                raise _failed(failures, count, config.wait)
            pending = [check for check, _ in failures]
            left = min(until, context.deadline) - time.monotonic()
            if context.cancel.wait(max(0.0, min(config.interval, left))):
                raise StepCancelled


def _failed(failures: list[tuple[Check, str]], count: int, waited: float | None) -> StepFailed:
    told = "; ".join(f"{check.name}: {problem}" if check.name else problem for check, problem in failures)
    lead = f"{len(failures)} of {count} checks failed" if count > 1 else "The check failed"
    return StepFailed(f"{lead}{f' for {waited:g} s' if waited else ''}: {told}.")


def _problem(context: StepContext, check: Check) -> str:
    """What is not as it should be, empty when all is well. The step's own end (timeout, cancel) is raised."""
    try:
        problem = _CHECKS[check.kinds[0]](context, check)
    except StepTimeout:
        raise
    except StepFailed as failed:
        problem = failed.message.rstrip(".")
    context.log(f"{check.name or check.kinds[0]}: {problem or 'ok'}")
    return problem


def _http(context: StepContext, check: Check) -> str:
    wanted = check.http
    assert wanted is not None
    answer = fetch(
        context,
        method="GET",
        url=wanted.url,
        headers={},
        body=None,
        timeout=wanted.timeout,
        verify=wanted.verify,
    )
    if answer.status != wanted.status:
        return f"{shown(wanted.url)} answered {answer.status}, expected {wanted.status}"
    if wanted.contains is not None and wanted.contains not in answer.text:
        return f"the answer of {shown(wanted.url)} does not contain `{wanted.contains}`"
    return ""


def _tcp(context: StepContext, check: Check) -> str:
    wanted = check.tcp
    assert wanted is not None
    timeout = max(0.01, min(wanted.timeout, context.deadline - time.monotonic()))
    try:
        socket.create_connection((wanted.host, wanted.port), timeout=timeout).close()
    except (OSError, UnicodeError) as error:
        return f"{wanted.host}:{wanted.port} takes no connection: {error}"
    return ""


def _command(context: StepContext, check: Check) -> str:
    wanted = check.command
    assert wanted is not None
    argv = wanted.argv or (shutil.which("bash") or "sh", "-e", "-c", wanted.script or "")
    result = context.run_process(argv)
    if result.exit_code != 0:
        last = result.stderr.strip().rpartition("\n")[2]
        return f"`{wanted.argv[0] if wanted.argv else 'script'}` ended with exit code {result.exit_code}" + (
            f": {last[:500]}" if last else ""
        )
    if wanted.contains is not None and wanted.contains not in result.stdout:
        return f"the command did not print `{wanted.contains}`"
    return ""


def _file(context: StepContext, check: Check) -> str:
    wanted = check.file
    assert wanted is not None
    try:
        path = (context.workspace / wanted.path).resolve()
        if not path.is_relative_to(context.workspace.resolve()):
            return f"`{wanted.path}` leaves the workspace"
        if path.exists() != wanted.exists:
            return f"there is no `{wanted.path}`" if wanted.exists else f"`{wanted.path}` exists"
        if wanted.contains is not None and wanted.contains not in _text(path):
            return f"`{wanted.path}` does not contain `{wanted.contains}`"
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        return f"`{wanted.path}` cannot be read: {error}"
    return ""


def _text(path: Path) -> str:
    """The file's beginning as text; empty when it is no file (a pipe would block)."""
    if not stat.S_ISREG(path.stat().st_mode):
        return ""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_FILE_BYTES).decode("utf-8", "replace")


_CHECKS: Final[dict[str, Callable[[StepContext, Check], str]]] = {
    "http": _http,
    "tcp": _tcp,
    "command": _command,
    "file": _file,
}
