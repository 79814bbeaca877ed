from pathlib import Path

import pytest

from engine.domain.provider import Operation, Registry
from engine.errors import Invalid
from engine.providers.loading import default_folders, from_archive, load

MANIFEST = """\
apiVersion: v1
kind: Provider
metadata: {name: %s, version: 1.0.0}
capabilities: {resourceTypes: [%s]}
workflows: [{name: create, file: workflows/create.yaml}]
"""
WORKFLOW = """\
apiVersion: innominatus.io/v1
kind: Workflow
metadata: {name: create}
steps:
  - {name: a, type: set, config: {outputs: {host: localhost}}}
outputs: {host: "{{ steps.a.outputs.host }}"}
"""


def provider(path: Path, name: str, resource_type: str, workflow: str = WORKFLOW) -> Path:
    (path / "workflows").mkdir(parents=True)
    (path / "provider.yaml").write_text(MANIFEST % (name, resource_type))
    (path / "workflows/create.yaml").write_text(workflow)
    return path


def test_folders_become_providers_and_bundles_that_read_the_same(tmp_path: Path) -> None:
    folders = [provider(tmp_path / "a", "one", "postgres"), provider(tmp_path / "b", "two", "redis")]
    loaded = load([*folders, folders[0]])
    assert loaded.problems == ()
    assert [p.name for p in loaded.checked()] == ["one", "two"]
    found = Registry(loaded.providers).resolve("redis")
    assert found is not None
    assert found[1].operations[Operation.CREATE].default == "create"
    for each in loaded.providers:
        assert from_archive(loaded.archives[each.digest]) == each


def test_every_fault_of_every_folder_is_told_at_once(tmp_path: Path) -> None:
    misspelt = WORKFLOW.replace("type: set", "type: sett")
    folders = [
        provider(tmp_path / "a", "one", "postgres"),
        provider(tmp_path / "b", "two", "postgres"),
        provider(tmp_path / "c", "three", "redis", misspelt),
        tmp_path / "d",
    ]
    loaded = load(folders)
    told = [str(problem) for problem in loaded.problems]
    assert any("c/workflows/create.yaml:5" in line and "Did you mean `set`?" in line for line in told)
    assert any("no such folder" in line for line in told)
    assert any("one (" in line and "a/provider.yaml), two (" in line and "b/provider.yaml)" in line for line in told)
    with pytest.raises(Invalid, match="3 problems"):
        loaded.checked()


def test_config_of_a_step_is_judged_with_file_and_line(tmp_path: Path) -> None:
    folder = provider(tmp_path / "a", "one", "postgres", WORKFLOW.replace("outputs: {host: l", "outpts: {host: l"))
    told = load([folder]).problems
    assert any(p.line == 5 and p.file.endswith("create.yaml") and "outpts" in p.message for p in told)


def test_shipped_folders_are_found_through_the_package() -> None:
    assert all((folder / "provider.yaml").is_file() for folder in default_folders())
    assert [folder.name for folder in default_folders()] == sorted(folder.name for folder in default_folders())


def test_a_folder_that_is_not_there_names_the_nearest_that_is(tmp_path: Path) -> None:
    teams = tmp_path / "teams"
    teams.mkdir()
    team = provider(teams / "shop-team", "one", "postgres")
    (teams / "shop-teams").write_text("no folder")
    for mistyped in (teams / "shp-team", tmp_path / "taems" / "shop-team"):
        (told,) = load([mistyped]).problems
        assert (told.file, told.fix) == (str(mistyped), f"Did you mean `{team}`?")
    (lost,) = load([teams / "0"]).problems
    assert lost.fix == "Check the path."
