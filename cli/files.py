"""Files that a command line names."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from engine.errors import Invalid, Problem, quoted


def read_bytes(file: Path, *, like: Callable[[Path], bool] = Path.is_file) -> bytes:
    """What the file holds, or standard input for `-`.

    Raises Invalid with the reason; where there is no such file, with the nearest names of what is there and `like` it.
    """
    import sys

    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        from engine.providers.nearby import paths_like

        absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        close = paths_like(file, like) if absent else []
        raise Invalid(
            f"`{file}` cannot be read: {error.strerror}.",
            code="unreadable_file",
            hint=f"Did you mean {quoted(close)}?" if close else "",
        ) from error


def read_text(file: Path) -> str:
    """The same as text. Raises Invalid with the reason."""
    raw = read_bytes(file)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(
            f"`{file}` is not text: byte {error.start + 1} is not UTF-8.", code="not_text", hint="Name a YAML file."
        ) from error


def name_of(file: Path) -> str:
    """What problems in it are told under."""
    return "stdin" if str(file) == "-" else str(file)


def within(problem: Problem, file: Path) -> Problem:
    """The problem with the name of its file, which a server that got only the text does not know."""
    return replace(problem, file=name_of(file)) if problem.line and not problem.file else problem


@contextmanager
def read_from(file: Path) -> Generator[None]:
    """What is found wrong in a text meanwhile is told with the file that it was read from."""
    try:
        yield
    except Invalid as error:
        error.problems = tuple(within(problem, file) for problem in error.problems)
        raise
