"""Files that a command line names."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from engine.errors import Invalid, Problem, quoted

_MOST_NAMED = 10


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
        hint = f"Did you mean {quoted(close)}?" if close else ""
        raise Invalid(
            f"`{file}` cannot be read: {_why(error)}.",
            code="unreadable_file",
            hint=_yaml_files_in(file) if isinstance(error, IsADirectoryError) else hint,
        ) from error


def _why(error: OSError) -> str:
    return "it is a folder" if isinstance(error, IsADirectoryError) else str(error.strerror)


def _yaml_files_in(folder: Path) -> str:
    """The files of a folder that may have been meant."""
    try:
        found = sorted(str(one) for one in folder.iterdir() if is_yaml(one))
    except OSError:
        found = []
    if not found:
        return "Name a file; there is no YAML file in it."
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return f"Name one of the files in it: {quoted(found[:_MOST_NAMED])}{more}."


def is_yaml(file: Path) -> bool:
    """Whether it is a file that may hold a spec, by its name."""
    return file.suffix in {".yaml", ".yml"} and file.is_file()


def read_text(file: Path, *, like: Callable[[Path], bool] = Path.is_file) -> str:
    """The same as text. Raises Invalid with the reason."""
    raw = read_bytes(file, like=like)
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
