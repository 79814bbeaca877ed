"""Every page: links lead somewhere, what it prints is a file or valid, commands and settings it names exist."""

import re
from pathlib import Path

import pytest

from engine.config import Settings
from engine.domain import expression_filters, workflow_reader
from engine.domain.workflow import ParameterType, When
from engine.steps.registry import EXECUTORS, config_problems, step_types
from tests.support.console import CHECKOUT, Terminal, blocks

PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "examples").rglob("*.md")])
LANGUAGE = CHECKOUT / "docs" / "reference" / "workflow-language.md"
NOT_SETTINGS = re.compile(
    r"INNOMINATUS_(API_BASE|API_KEY|OUTPUT|INPUTS|PROVIDER_DATA|BUNDLE|APPLICATION|RESOURCE|IDEMPOTENCY_KEY|PYTHON|URL|ORACLES)\b"
)


def named(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_and_setting_it_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = (CHECKOUT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    for program, word in re.findall(r"\b(innominatus(?:-ctl)?) ([a-z][a-z-]*)\b", "\n".join([*code(text)])):
        assert re.search(rf"^### {program} {word}\b", known, flags=re.MULTILINE), f"{program} {word}"
    settings = {f"INNOMINATUS_{name.upper()}" for name in Settings.model_fields}
    for variable in re.findall(r"\bINNOMINATUS_[A-Z_]+\b", text):
        assert variable in settings or NOT_SETTINGS.fullmatch(variable), variable


def code(text: str) -> list[str]:
    fenced = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    commands = [line for block in fenced for line in block.splitlines() if not line.startswith("innominatus serves")]
    return commands + re.findall(r"`(innominatus(?:-ctl)? [^`]*)`", text)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=named)
def test_every_workflow_and_file_it_prints_is_valid(page: Path) -> None:
    for text in blocks(page, "yaml"):
        first, _, rest = text.partition("\n")
        if first.startswith("# examples/"):
            assert rest == (CHECKOUT / first.removeprefix("# ")).read_text(encoding="utf-8")
        elif "kind: Workflow" in text:
            found, problems = workflow_reader.read(text, check_config=config_problems, step_types=step_types())
            assert found, problems
            assert not problems


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "how-to"], ids=named)
def test_what_a_how_to_shows_is_what_is_printed(page: Path, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    try:
        for block in blocks(page, "console"):
            assert not any(wrong := terminal.run(block)), "\n".join(wrong)
    finally:
        terminal.close()


def test_the_workflow_language_names_every_filter_test_type_and_key() -> None:
    page = LANGUAGE.read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", page))))
    assert set(expression_filters.FILTERS) <= words
    assert set(expression_filters.TESTS) <= words
    assert {kind.value for kind in ParameterType} <= words
    assert {when.value for when in When} <= words
    assert {
        "needs",
        "if",
        "when",
        "timeout",
        "retry",
        "idempotent",
        "secretOutputs",
        "artifacts",
        "outputFrom",
    } <= words


def test_every_example_is_valid_and_named_in_the_list(tmp_path: Path) -> None:
    examples = CHECKOUT / "examples"
    listed = (examples / "README.md").read_text(encoding="utf-8")
    files = [*examples.glob("*.yaml"), *examples.glob("workflows/*.yaml"), *examples.glob("providers/*/")]
    assert {f"workflows/{name}.yaml" for name in EXECUTORS} <= {str(file.relative_to(examples)) for file in files}
    for file in files:
        assert f"({file.relative_to(examples)})" in listed
    names = " ".join(str(file.relative_to(CHECKOUT)) for file in files)
    assert not any(wrong := Terminal(tmp_path).run(f"$ innominatus-ctl validate {names}\n...\n")), "\n".join(wrong)
