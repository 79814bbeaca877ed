"""README is true: its commands run and print what it shows, its files are the files, its targets exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.console import CHECKOUT, Command, Terminal, blocks, commands, differs

README = CHECKOUT / "README.md"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal(tmp_path)
    yield found
    found.close()


def test_a_newcomer_who_types_what_the_readme_says_sees_what_it_shows(terminal: Terminal) -> None:
    tour = blocks(README, "console")
    assert sum(len(commands(block)) for block in tour) > 15
    for block in tour:
        assert not (wrong := [found for found in terminal.run(block) if found]), "\n\n".join(wrong)


def test_every_file_the_readme_prints_is_that_file() -> None:
    printed = [block.split("\n", 1) for block in blocks(README, "yaml")]
    assert printed
    for first, text in printed:
        assert text == (CHECKOUT / first.removeprefix("# ")).read_text(encoding="utf-8")


def test_every_make_target_the_readme_names_exists() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"make ([a-z]+)\b", "\n".join(blocks(README, "sh"))))
    assert named >= {"demo", "test", "env", "build"}
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in named)


def test_the_wheel_the_readme_installs_is_the_one_that_is_built() -> None:
    version = re.search(r'^version = "(.+)"', (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version
    assert f"dist/innominatus-{version[1]}-py3-none-any.whl[local]" in README.read_text(encoding="utf-8")


def test_a_page_that_shows_something_else_is_noticed() -> None:
    command = Command("date", ("on ... at", "...", "done"))
    assert not differs(command, "on Monday at\nsix\nseven\ndone\n")
    assert "but the page shows" in differs(command, "on Monday at\ndone\nand more\n")
    assert "surprise" in differs(Command("true", ()), "surprise\n")
