"""docs/reference says what the code is, and leaves nothing out."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from fastapi.routing import APIRoute

from cli import ctl, reference, server
from cli.reference_text import cell, code, table
from engine.config import Settings
from engine.errors import FAMILIES
from engine.providers.loading import default_folders
from engine.steps.registry import EXECUTORS
from mcp_server.schemas import LIST
from mcp_server.toolsets import TOOLS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
NOUNS = ("applications", "events", "golden_paths", "graphs", "providers", "resources", "specs", "system", "validation",
         "workflows")  # fmt: skip


def text(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def headings(name: str) -> set[str]:
    return {line.lstrip("#").strip() for line in text(name).splitlines() if line.startswith("##")}


def test_the_committed_reference_is_what_the_code_says() -> None:
    stale = [name for name, now in reference.pages().items() if not (REFERENCE / name).exists() or text(name) != now]
    assert not stale, "Run `make docs` and commit docs/reference."


def test_every_setting_has_a_row_with_its_meaning() -> None:
    page = text("settings.md")
    for name, field in Settings.model_fields.items():
        assert field.description
        assert f"| `INNOMINATUS_{name.upper()}` |" in page
        assert cell(field.description) in page


def test_every_step_type_has_a_chapter_with_a_workflow_that_uses_it() -> None:
    chapters = re.split(r"^## ", text("step-types.md"), flags=re.MULTILINE)[1:]
    assert [chapter.partition("\n")[0] for chapter in chapters] == sorted(EXECUTORS)
    for chapter in chapters:
        assert f"type: {chapter.partition(chr(10))[0]}\n" in chapter
        assert "Idempotent: " in chapter


def test_every_config_key_of_every_step_type_is_there() -> None:
    page = text("step-types.md")
    for name, executor in EXECUTORS.items():
        for key, field in executor.Config.model_fields.items():
            assert f"| `{field.alias or key}` |" in page, name


def test_every_tool_is_there_with_its_arguments() -> None:
    assert headings("mcp.md") == set(TOOLS)
    assert text("mcp.md").count("Toolset `core`.") == 10
    assert LIST["properties"]
    assert "`plan_hash`" in text("mcp.md")


def test_every_route_is_there() -> None:
    wanted: set[str] = set()
    for noun in NOUNS:
        routes: list[Any] = import_module(f"api.routes.{noun}").router.routes
        wanted |= {
            f"{m} {r.path}" for r in routes if isinstance(r, APIRoute) and r.include_in_schema for m in r.methods or ()
        }
    assert len(wanted) > 25
    assert wanted <= headings("rest.md")


@pytest.mark.parametrize(("name", "app"), [("innominatus", server.app), ("innominatus-ctl", ctl.app)])
def test_every_command_is_there(name: str, app: typer.Typer) -> None:
    def commands(of: typer.Typer, path: str) -> list[str]:
        own = [
            f"{path} {c.name or getattr(c.callback, '__name__', '')}" for c in of.registered_commands if not c.hidden
        ]
        groups = [(g.typer_instance, g.name) for g in of.registered_groups]
        return own + [found for group, word in groups if group for found in commands(group, f"{path} {word}")]

    there = headings("cli.md")
    for command in commands(app, name):
        assert any(line == command or line.startswith(f"{command} ") for line in there), command


def test_every_shipped_resource_type_is_there_with_params_and_outputs() -> None:
    page = text("providers.md")
    for folder in default_folders():
        manifest: Any = yaml.safe_load((folder / "provider.yaml").read_text(encoding="utf-8"))
        for kind in manifest["capabilities"]["resourceTypeCapabilities"]:
            if "aliasFor" in kind:
                assert f"`{kind['type']}`" in page
                continue
            assert kind["type"] in headings("providers.md")
            for name in [*kind.get("params", {}).get("properties", {}), *(o["name"] for o in kind.get("outputs", []))]:
                assert f"| `{name}` |" in page, (kind["type"], name)


def test_every_exit_code_is_there() -> None:
    assert all(f"| {number} |" in text("cli.md") for number in range(len(FAMILIES) + 1))


def test_text_with_pipes_and_backticks_does_not_break_a_table() -> None:
    assert table(("A", "B"), [("x|y", "one\ntwo")]).splitlines()[-1] == "| x\\|y | one two |"
    assert code("a`b") == "`` a`b ``"
    assert table(("A",), []) == ""
