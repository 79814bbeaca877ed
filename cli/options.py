"""Arguments and options that several commands share."""

from enum import StrEnum
from typing import Annotated

import typer

Application = Annotated[str, typer.Argument(metavar="APP", help="The application's name.")]
Environment = Annotated[
    str | None, typer.Option("--environment", "-e", help="The environment; `default` unless the spec names one.")
]
AnyEnvironment = Annotated[str | None, typer.Option("--environment", "-e", help="Of this environment only.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end and show the progress.")]


class Client(StrEnum):
    """An MCP client whose configuration we know."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VSCODE = "vscode"
