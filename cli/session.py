"""What every command of `innominatus-ctl` shares: which server, and the form of the answer."""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn, cast

import typer

from cli.exits import EXIT_CODES, FAILED, INTERRUPTED, exit_code, tell
from cli.text import clean, shown
from engine.domain.values import Json, JsonObject
from engine.errors import InnominatusError, Invalid

if TYPE_CHECKING:
    from rich.console import Console

    from cli.client import Api


class Form(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Session:
    """The global options of one call."""

    server: str | None = None
    token: str | None = None
    form: Form = Form.TABLE

    @property
    def plain(self) -> bool:
        """True when the answer is for people."""
        return self.form is Form.TABLE

    def api(self) -> "Api":
        from cli.client import connect

        return connect(self.server, self.token)

    def command(self, *words: str, environment: str = "", more: Sequence[str] = ()) -> str:
        """A command line that reaches the same server, ready to paste; a token is nothing to print."""
        import shlex

        server = ("--server", self.server) if self.server else ()
        where = ("--environment", environment) if environment else ()
        return clean(shlex.join(["innominatus-ctl", *server, *words, *where, *more]))

    def show(self, data: Json, table: Callable[[], None]) -> None:
        """`data` in the form that was asked for; `table` prints it for people."""
        if self.form is Form.TABLE:
            table()
        elif self.form is Form.JSON:
            import json

            say(json.dumps(data, indent=2))
        else:
            import yaml

            say(yaml.safe_dump(data, sort_keys=False, allow_unicode=False).rstrip("\n"))


def session_of(ctx: typer.Context) -> Session:
    found = ctx.find_object(Session)
    return found if found is not None else Session()


def say(text: str = "") -> None:
    """One answer on stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Words beside the answer, on stderr."""
    sys.stderr.write(clean(text) + "\n")


def console(*, stderr: bool = False) -> "Console":
    """Colours and folding on a terminal only; a pipe gets whole lines."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    return (
        found if found.is_terminal else Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=4000)
    )


STYLES = {
    "active": "green",
    "succeeded": "green",
    "healthy": "green",
    "failed": "red",
    "degraded": "yellow",
    "blocked": "yellow",
    "cancelled": "yellow",
    "waiting": "yellow",
    "create": "green",
    "update": "yellow",
    "delete": "red",
    "forget": "yellow",
}


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Json]], *, empty: str = "Nothing.") -> None:
    """A table without lines; long cells fold on a terminal."""
    from rich.table import Table
    from rich.text import Text

    if not rows:
        say(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.upper(), overflow="fold")
    for row in rows:
        cells = [shown(value) for value in row]
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in cells))
    target = console()
    if target.is_terminal:
        target.print(table)
        return
    with target.capture() as captured:
        target.print(table)
    say("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_fields(fields: JsonObject) -> None:
    """`name  value` lines; what is empty is left out."""
    kept = {name: value for name, value in fields.items() if value not in (None, "", [], {})}
    width = max((len(name) for name in kept), default=0)
    for name, value in kept.items():
        say(f"{name:<{width}}  {shown(value)}")


_GLOBAL = {"-o": "-o", "--output": "-o", "--server": "--server", "--token": "--token"}


def arranged(args: Sequence[str], nouns: Mapping[str, Collection[str]]) -> list[str]:
    """The words of a command line as typer takes them.

    Global options may stand anywhere. A word behind a noun that is none of its verbs is the thing itself:
    `resource 5` is `resource show 5`.
    """
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(args)
    for arg in waiting:
        name, equals, _ = arg.partition("=")
        if arg == "--":
            rest += [arg, *waiting]
        elif name in _GLOBAL and equals and name.startswith("--"):
            front.append(arg)
        elif arg in _GLOBAL:
            front += [arg, *([value] if (value := next(waiting, None)) is not None else [])]
        else:
            rest.append(arg)
    verbs = nouns.get(rest[0]) if rest else None
    thing = next((arg for arg in rest[1:] if not arg.startswith("-")), None)
    if verbs and thing is not None and thing not in verbs:
        rest.insert(1, "show")
    return [*front, *rest]


def form_asked(args: Sequence[str]) -> Form:
    """The form that a command line asks for, known before it is read: what is wrong with it is told in that form."""
    found = Form.TABLE.value
    words = iter(args)
    for word in words:
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name in {"-o", "--output"}:
            found = value if equals else next(words, "")
    return Form(found) if found in {*Form} else Form.TABLE


_WRONG_USAGE = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])
"""The family of all that typer refuses; it has no public name."""
_NOISE = "Value error, "
"""What the library that typer reads values with puts before its words."""


def run(app: typer.Typer, args: Sequence[str], *, form: Form = Form.TABLE) -> NoReturn:
    """Run a command line to its exit code. Errors are words, or one line of JSON where JSON or YAML was asked for."""
    plain = form is Form.TABLE
    try:
        ended = app(list(args), standalone_mode=False)
        sys.exit(ended or 0)
    except _WRONG_USAGE as error:
        error.message = error.message.replace(_NOISE, "", 1)
        if plain:
            error.show()
        else:
            tell(_misuse(error), plain=False)
        sys.exit(EXIT_CODES[Invalid])
    except InnominatusError as error:
        tell(error, plain=plain)
        sys.exit(exit_code(error))
    except typer.Abort:
        if plain:
            note("Aborted!")
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _misuse(error: typer.BadParameter) -> Invalid:
    path = error.ctx.command_path if error.ctx else "innominatus-ctl"
    return Invalid(error.format_message(), code="usage", hint=f"Look: {path} --help")


def tell_version(program: str) -> Callable[[bool], None]:
    """What `--version` does: name the program and the installed package's version, and end."""

    def tell(asked: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
        if asked:
            from importlib.metadata import version

            say(f"{program} {version('innominatus')}")
            raise typer.Exit

    return tell
