"""The database is away: how every command ends then. The commands are those of the program."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli import compose, ctl
from cli.serving import background
from engine.config import Settings
from tests.support.outages import ADDRESS, away
from tests.support.platforms import until
from tests.support.served import call, score

WITHOUT_DATABASE = {"list-goldenpaths", "providers", "provider", "whoami", "validate"}
GIVEN = {
    "app": "app",
    "execution": "1",
    "thing": "1",
    "name": "cli-team",
    "golden_path": "ask",
}
OPTIONS = {"--as": "active"}


@pytest.fixture
def platform(tmp_path: Path, provider: Path) -> Iterator[compose.Running]:
    """Open doors without an engine, so that nobody asks the database anything in between."""
    settings = Settings(data_dir=tmp_path / "data", providers=str(provider), health_seconds=0)
    running = compose.start(settings, run_engine=False)
    close = background(running, settings)
    until((settings.data_dir / "serve.json").exists)
    yield running
    close()
    running.close(grace=0)


def commands() -> Iterator[tuple[list[str], list[Any]]]:
    """The words and the parameters of every command."""
    pending: list[tuple[list[str], Any]] = [([], typer.main.get_command(ctl.app))]
    for words, command in pending:
        pending += [([*words, name], inner) for name, inner in getattr(command, "commands", {}).items()]
        if not hasattr(command, "commands"):
            yield words, command.params


def typed(words: list[str], parameters: list[Any], file: Path) -> list[str]:
    """The command with what it needs."""
    given = {**GIVEN, "file": str(file), "targets": str(file)}
    arguments = [given[one.name] for one in parameters if one.param_type_name == "argument" and one.required]
    options = [word for one in parameters for name in one.opts if name in OPTIONS for word in (name, OPTIONS[name])]
    yes = ["--yes"] if any("--yes" in one.opts for one in parameters) else []
    return [*words, *arguments, *options, *yes]


def test_every_command_ends_with_5_or_needs_no_database(platform: compose.Running, tmp_path: Path) -> None:
    file = tmp_path / "score.yaml"
    file.write_text(score("app"))
    env = {"INNOMINATUS_DATA_DIR": str(tmp_path / "data")}
    known = list(commands())
    assert len(known) > 25
    with away(platform.platform.store) as tried:
        for words, parameters in known:
            done = call(ctl.main, "-o", "json", *typed(words, parameters, file), env=env)
            if words[0] in WITHOUT_DATABASE:
                assert done.code == 0, (words, done)
                continue
            assert done.code == 5, (words, done)
            told = json.loads(done.err)
            assert (told["code"], bool(told["hint"])) == ("database_unavailable", True), words
            assert ADDRESS not in done.err
    assert tried
