import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.providers.bundle import BundleFile, digest, files_of, pack, read_folder, unpack

FILES = {"provider.yaml": BundleFile(b"a"), "scripts/run.sh": BundleFile(b"#!/bin/sh\n", executable=True)}


def folder(path: Path) -> Path:
    (path / "scripts").mkdir(parents=True)
    (path / "provider.yaml").write_bytes(b"a")
    (path / "scripts/run.sh").write_bytes(b"#!/bin/sh\n")
    (path / "scripts/run.sh").chmod(0o755)
    return path


def tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue())


def test_folder_is_read_with_its_executable_bits(tmp_path: Path) -> None:
    assert read_folder(folder(tmp_path / "p")) == FILES


def test_same_files_give_the_same_bundle_everywhere(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "one"), folder(tmp_path / "two")
    os.utime(two / "provider.yaml", (1, 1))
    assert pack(read_folder(one)) == pack(read_folder(two))
    assert digest(read_folder(one)) == digest(dict(reversed(FILES.items())))


@pytest.mark.parametrize(
    "other",
    [
        {"provider.yaml": BundleFile(b"b")},
        {"provider.yaml": BundleFile(b"a", executable=True)},
        {"provider.yml": BundleFile(b"a")},
        {"provider.yaml": BundleFile(b"a"), "x": BundleFile(b"")},
    ],
)
def test_any_difference_changes_the_digest(other: dict[str, BundleFile]) -> None:
    assert digest(other) != digest({"provider.yaml": BundleFile(b"a")})


def test_droppings_of_tools_do_not_belong_to_a_bundle(tmp_path: Path) -> None:
    path = folder(tmp_path / "p")
    for name in (".git/config", "scripts/__pycache__/x.pyc", ".terraform/big"):
        (path / name).parent.mkdir(parents=True)
        (path / name).write_bytes(b"x")
    assert read_folder(path) == FILES


def test_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    for target in (tmp_path / "secret", tmp_path, Path("/etc")):
        path = folder(tmp_path / f"p{target.name}")
        (path / "link").symlink_to(target)
        with pytest.raises(Invalid, match="leads out"):
            read_folder(path)


def test_link_inside_becomes_its_file_and_a_loop_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "p")
    (path / "same.yaml").symlink_to("provider.yaml")
    assert read_folder(path)["same.yaml"] == BundleFile(b"a")
    (path / "loop").symlink_to(".")
    with pytest.raises(Invalid, match="neither a file"):
        read_folder(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "p")
    os.mkfifo(path / "pipe")
    with pytest.raises(Invalid, match="neither a file"):
        read_folder(path)
    with pytest.raises(Invalid, match="no such folder"):
        read_folder(tmp_path / "none")


def test_file_name_that_cannot_be_written_down_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "p")
    (path / os.fsdecode(b"\xff.yaml")).write_bytes(b"")
    with pytest.raises(Invalid, match="unprintable"):
        read_folder(path)


def test_folder_may_not_be_too_large(tmp_path: Path) -> None:
    path = folder(tmp_path / "p")
    with (path / "big").open("wb") as file:
        file.truncate(40_000_000)
    with pytest.raises(Invalid, match="at most"):
        read_folder(path)


def test_bundle_unpacks_once_and_whole(tmp_path: Path) -> None:
    archive = pack(FILES)
    target = unpack(archive, tmp_path / "bundles")
    assert read_folder(target) == FILES
    assert target.name == digest(FILES).replace(":", "-")
    before = (target / "provider.yaml").stat().st_mtime_ns
    assert unpack(archive, tmp_path / "bundles") == target
    assert (target / "provider.yaml").stat().st_mtime_ns == before
    assert [entry.name for entry in (tmp_path / "bundles").iterdir()] == [target.name]


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//b", "./a", "..", "a\\b", "."])
def test_name_that_leads_outside_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        unpack(tar((tarfile.TarInfo(name), b"x")), tmp_path / "into")
    with pytest.raises(Invalid):
        pack({name: BundleFile(b"")})
    assert not (tmp_path / "x").exists()


def test_links_devices_and_doubles_in_an_archive_are_refused() -> None:
    link = tarfile.TarInfo("a")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    pairs = [("a", "a"), ("a", "a/b"), ("a/b/c", "a")]
    doubles = [[(tarfile.TarInfo(one), b"1"), (tarfile.TarInfo(two), b"2")] for one, two in pairs]
    for entries in ([(link, b"")], *doubles):
        with pytest.raises(Invalid, match="ordinary files"):
            files_of(tar(*entries))


def test_damaged_and_exploding_archives_are_refused() -> None:
    archive = pack(FILES)
    for damaged in (b"", b"x", archive[:40], archive[:-9], gzip.compress(b"x" * 2000)):
        with pytest.raises(Invalid, match="damaged"):
            files_of(damaged)
    with pytest.raises(Invalid, match="at most"):
        files_of(gzip.compress(bytes(50_000_000)))


NAMES = st.lists(st.text("ab.é -", min_size=1, max_size=4).filter(lambda n: n.strip(".") != ""), min_size=1, max_size=3)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(NAMES.map("/".join), st.builds(BundleFile, st.binary(max_size=30), st.booleans()), max_size=5))
def test_packing_keeps_everything(files: dict[str, BundleFile]) -> None:
    if any(name.startswith(f"{other}/") for name in files for other in files):
        with pytest.raises(Invalid):
            files_of(pack(files))
        return
    assert files_of(pack(files)) == files
