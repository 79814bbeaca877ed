"""`policy`: runs a script of the provider, in any language."""

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import ClassVar, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from engine.domain.values import Json, JsonObject
from engine.steps.base import (
    ProcessResult,
    RetryLater,
    StepCancelled,
    StepConfig,
    StepContext,
    StepFailed,
    StepRefused,
    StepResult,
)
from engine.steps.fields import EnvironmentName, RelativePath, Text, as_config, refused
from engine.steps.outputs import check_name, from_json, read_file
from engine.steps.streams import CUT

TRY_AGAIN: Final = 75
"""EX_TEMPFAIL of sysexits.h: the script says that it may succeed later."""
NO_USE: Final = 78
"""EX_CONFIG of sysexits.h: the script says that trying again is of no use."""
_OUTPUT_FILE: Final = ".innominatus-output"
_SCRIPT_FILE: Final = ".innominatus-script"
_SET_OUTPUT = re.compile(r"::set-output name=(?P<name>.*?)::(?P<value>.*)", re.DOTALL)
_ADD_MASK: Final = "::add-mask::"
_ERROR_LINES: Final = 5
_EXIT_CODES: Final = {
    126: "the program could not be executed",
    127: "a command was not found: install it on the machine that runs the engine, in a folder of PATH",
    134: "it aborted (SIGABRT)",
    137: "it was killed (SIGKILL), most often because the machine or container ran out of memory",
    139: "it crashed (SIGSEGV)",
    143: "it was told to end (SIGTERM)",
}


class PolicyConfig(StepConfig):
    script: Text | None = Field(default=None, min_length=1, description="The script itself.")
    command: Text | None = Field(default=None, min_length=1, description="The older spelling of `script`.")
    file: RelativePath | None = Field(default=None, description="A script in the provider's folder.")
    interpreter: Text | None = Field(
        default=None,
        min_length=1,
        description="Program that reads the script, with arguments; `python` is the engine's own. "
        "Without it the script's `#!` line decides, else `bash -e -o pipefail` (`sh -e` without bash).",
    )
    args: tuple[Text, ...] = Field(default=(), description="The script's arguments.")
    env: dict[EnvironmentName, Text] = Field(
        default_factory=dict[str, str], description="Further environment variables."
    )
    output_from: Literal["json"] | None = Field(
        default=None, alias="outputFrom", description="`json`: what the script prints is one JSON object, its outputs."
    )
    working_dir: RelativePath | None = Field(
        default=None, description="Folder below the step's workspace to run in; it is made."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("script", "command", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refused(
                f"{' and '.join(f'`{name}`' for name in given)} exclude each other"
                if given
                else "either `script` or `file` is needed",
                "write the script under `script`, or name a file of the provider's folder under `file`",
            )
        return self

    @property
    def text(self) -> str | None:
        return self.script if self.script is not None else self.command


class PolicyExecutor:
    step_type: ClassVar[str] = "policy"
    Config: ClassVar[type[BaseModel]] = PolicyConfig
    idempotent: ClassVar[bool] = False
    script_fields: ClassVar[frozenset[str]] = frozenset({"script", "command"})

    def run(self, context: StepContext) -> StepResult:
        config = as_config(context, PolicyConfig)
        script = _script(context, config)
        output_file = _fresh(context.workspace / _OUTPUT_FILE, "")
        folder = _folder(context.workspace, config.working_dir)
        outputs: JsonObject = {}

        def on_stdout(line: str) -> None:
            if _command(context, line, outputs):
                return
            if config.output_from is None:
                context.log(line)

        try:
            result = context.run_process(
                [*_interpreter(config.interpreter, script), str(script), *config.args],
                env=_environment(context, config, output_file),
                cwd=folder,
                on_stdout=on_stdout,
                log_stdout=False,
            )
            _judge(result, shown=config.output_from is None)
        except (StepFailed, StepCancelled):
            context.mask_outputs({**outputs, **_left(output_file)})  # it may have told them before
            raise
        outputs.update(read_file(output_file))
        if config.output_from == "json":
            outputs.update(_printed(result))
        return StepResult(outputs=outputs)


def _left(output_file: Path) -> JsonObject:
    """What a script that failed wrote into its output file, if that can be read."""
    try:
        return read_file(output_file)
    except StepFailed:
        return {}


def _script(context: StepContext, config: PolicyConfig) -> Path:
    if config.text is not None:
        return _fresh(context.workspace / _SCRIPT_FILE, config.text)
    assert config.file is not None
    bundle = context.bundle.resolve()
    path = (bundle / config.file).resolve()
    if not path.is_relative_to(bundle) or not path.is_file():
        raise StepFailed(
            f"There is no file `{config.file}` in the provider's folder.",
            hint="Paths under `file` are relative to the folder of provider.yaml.",
        )
    return path


def _fresh(path: Path, text: str) -> Path:
    """A new file of ours, whatever an earlier attempt left at its place."""
    try:
        path.unlink(missing_ok=True)
        with path.open("x", encoding="utf-8") as file:
            path.chmod(0o600)
            file.write(text)
    except UnicodeEncodeError:
        raise StepFailed("The script is not valid text.") from None
    except OSError as error:
        told = f"The step's workspace cannot be written: {error.strerror}."
        raise RetryLater(told, reason="workspace") from error
    return path


def _folder(workspace: Path, below: str | None) -> Path:
    folder = workspace / (below or ".")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StepFailed(f"The folder `{below}` cannot be made in the step's workspace: {error.strerror}.") from error
    return folder


def _environment(context: StepContext, config: PolicyConfig, output_file: Path) -> dict[str, str]:
    return {
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **config.env,
        "INNOMINATUS_OUTPUT": str(output_file),
        "INNOMINATUS_PYTHON": sys.executable,
        "INNOMINATUS_BUNDLE": str(context.bundle),
    }


def _interpreter(declared: str | None, script: Path) -> list[str]:
    """The program that reads the script, with its arguments."""
    if declared is None:
        with script.open("rb") as file:
            first = file.readline(1000)
        if not first.startswith(b"#!"):
            bash = shutil.which("bash")
            return [bash, "-e", "-o", "pipefail"] if bash else ["sh", "-e"]
        declared = first[2:].decode("utf-8", "replace")
    try:
        argv = shlex.split(declared)
    except ValueError as error:
        raise StepFailed(f"The interpreter `{declared.strip()}` cannot be read: {error}.") from None
    if len(argv) > 1 and Path(argv[0]).name == "env":
        argv = argv[2:] if argv[1] == "-S" else argv[1:]
    if not argv:
        raise StepFailed("The script's `#!` line names no interpreter.")
    return [sys.executable, *argv[1:]] if argv[0] in ("python", "python3") else argv


def _command(context: StepContext, line: str, outputs: JsonObject) -> bool:
    """Obey a line that is meant for us. Its value is not logged: it may be a secret."""
    if line.startswith(_ADD_MASK):
        context.add_mask(line.removeprefix(_ADD_MASK))
        return True
    found = _SET_OUTPUT.fullmatch(line)
    if found is None:
        return False
    name, value = check_name(found["name"]), found["value"]
    problem = (
        "is too long for a line"
        if line.endswith(CUT)
        else "holds a NUL byte"
        if "\0" in value
        else "is not valid UTF-8"
        if "\ufffd" in value
        else ""
    )
    if problem:
        raise StepFailed(
            f"The output `{name}` {problem}.", hint="Write it to the file $INNOMINATUS_OUTPUT, binary values in base64."
        )
    outputs[name] = value
    context.log(f"::set-output name={name}::…")
    return True


def _judge(result: ProcessResult, *, shown: bool) -> None:
    """`shown` says that stdout is for people, so that an error may be in it."""
    if result.exit_code == 0:
        return
    told = _last_lines(result.stderr) or (_last_lines(result.stdout) if shown else "")
    reason = f"exit_{result.exit_code}"
    if result.exit_code == TRY_AGAIN:
        raise RetryLater(told or "The script asks to be run again later (exit code 75).", reason=reason)
    if result.exit_code == NO_USE:
        raise StepRefused(told or "The script says that trying again is of no use (exit code 78).", reason=reason)
    meaning = _EXIT_CODES.get(result.exit_code, "")
    message = f"The script ended with exit code {result.exit_code}"
    hint = meaning and f"{meaning[0].upper()}{meaning[1:]}."
    raise StepFailed(f"{message}{f': {told}' if told else '.'}", hint=hint, reason=reason)


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text[-8000:].splitlines()]
    told = [line for line in lines if line and not line.startswith("::")]
    return "\n".join(told[-_ERROR_LINES:])[-2000:].replace("\0", "")


def _printed(result: ProcessResult) -> JsonObject:
    if result.stdout_cut:
        raise StepFailed(
            "The script printed more than can be read as outputs.",
            hint="Write outputs to the file $INNOMINATUS_OUTPUT.",
        )
    printed: Json = from_json(result.stdout, "What the script printed (`outputFrom: json`)")
    if not isinstance(printed, dict):
        raise StepFailed("What the script printed (`outputFrom: json`) is JSON, but not an object.")
    return printed
