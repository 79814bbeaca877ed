"""The resource types that need no server."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.shipped.fixtures import bench
from tests.shipped.steps import PROVIDERS, REFUSED, Bench


@pytest.fixture
def builtin() -> Iterator[Bench]:
    with bench("builtin") as made:
        yield made


def test_a_volume_keeps_its_content_until_it_is_deleted(builtin: Bench) -> None:
    made = builtin.done("provision-volume")
    folder = Path(made["source"])
    (folder / "photo").write_text("x")
    assert builtin.done("provision-volume", outputs=made) == made
    assert (folder / "photo").read_text() == "x"
    builtin.done("check-volume", outputs=made)
    builtin.done("delete-volume", outputs=made)
    assert not folder.exists()
    assert builtin.done("delete-volume", outputs=made) == {}
    assert "is gone" in builtin.run("check-volume", outputs=made).error


def test_a_volume_that_became_a_symbolic_link_is_never_followed(builtin: Bench, tmp_path: Path) -> None:
    made = builtin.done("provision-volume")
    builtin.done("delete-volume")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("x")
    Path(made["source"]).symlink_to(tmp_path / "precious")
    for workflow in ("provision-volume", "check-volume", "delete-volume"):
        assert builtin.run(workflow).code == REFUSED, workflow
    assert (tmp_path / "precious/file").read_text() == "x"


def test_a_link_inside_a_volume_is_removed_and_not_what_it_points_to(builtin: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    made = builtin.done("provision-volume")
    Path(made["source"], "link").symlink_to(tmp_path)
    builtin.done("delete-volume")
    assert (tmp_path / "file").read_text() == "x"


def test_an_earlier_source_sent_by_somebody_is_not_what_is_removed(builtin: Bench, tmp_path: Path) -> None:
    builtin.done("delete-volume", outputs={"source": str(tmp_path)})
    assert tmp_path.is_dir()


def test_a_secret_stays_the_same_until_its_length_changes_or_it_is_deleted(builtin: Bench) -> None:
    first = builtin.done("provision-secret", params={"length": 48})["value"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{48}", first)
    assert builtin.done("provision-secret", params={"length": 48})["value"] == first
    assert builtin.done("provision-secret", name="other", params={"length": 48})["value"] != first
    longer = builtin.done("provision-secret", params={"length": 64})["value"]
    assert len(longer) == 64
    builtin.done("delete-secret")
    assert builtin.done("provision-secret", params={"length": 64})["value"] != longer
    for path in (builtin.data / "provider").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["shop.dns", "ü.ß", "x" * 300, "-", "1.2.3", "a_b"])
def test_a_host_name_is_one_valid_label_below_localhost(builtin: Bench, name: str) -> None:
    host = builtin.done("provision-dns", name=name)["host"]
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?\.localhost", host)
    assert builtin.done("provision-dns", name=name)["host"] == host


def test_two_host_names_differ_even_where_they_read_alike(builtin: Bench) -> None:
    assert builtin.done("provision-dns", name="a.b")["host"] != builtin.done("provision-dns", name="a_b")["host"]


@pytest.mark.parametrize("provider", ["builtin", "local-team"])
def test_every_workflow_file_is_in_the_manifest_and_every_operation_has_its_workflow(provider: str) -> None:
    manifest = yaml.safe_load((PROVIDERS / provider / "provider.yaml").read_text())
    listed = {entry["name"]: entry["file"] for entry in manifest["workflows"]}
    files = {path.stem for path in (PROVIDERS / provider / "workflows").glob("*.yaml")}
    assert set(listed) == files
    for kind in manifest["capabilities"]["resourceTypeCapabilities"]:
        for operation in kind.get("operations", {}).values():
            assert operation["workflow"] in listed
    for name, file in listed.items():
        workflow = yaml.safe_load((PROVIDERS / provider / file).read_text())
        assert workflow["metadata"]["name"] == name
        for step in workflow["steps"]:
            script = step["config"].get("file")
            assert script is None or (PROVIDERS / provider / script).is_file()


@pytest.mark.parametrize("module", ["step.py", "files.py"])
def test_bundles_carry_the_same_copy_of_what_they_share(module: str) -> None:
    copies = {(PROVIDERS / provider / "scripts" / module).read_bytes() for provider in ("builtin", "local-team")}
    assert len(copies) == 1
