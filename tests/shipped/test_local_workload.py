"""`workload` of local-team: what it writes is what the application's containers get."""

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.shipped.fixtures import bench
from tests.shipped.steps import REFUSED, Bench, Object


@pytest.fixture
def local() -> Iterator[Bench]:
    with bench("local-team") as made:
        yield made


def workload(**container: object) -> Object:
    return {
        "workload": {
            "metadata": {"name": "shop"},
            "service": {},
            "containers": {"web": {"image": "busybox", **container}},
        }
    }


def shell_reads(file: str, names: list[str]) -> dict[str, str]:
    """What a POSIX shell has in its variables after sourcing `file`."""
    script = 'set -a; . "$0"; for name in "$@"; do printenv "$name"; printf "\\0"; done'
    done = subprocess.run(
        ["sh", "-c", script, file, *names], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True
    )
    values = done.stdout.decode().split("\n\0")
    return dict(zip(names, values, strict=False))


def test_variables_reach_a_shell_exactly(local: Bench) -> None:
    hostile = {
        "PLAIN": "postgresql://u:p@127.0.0.1:5432/db",
        "QUOTES": 'it\'s "quoted"',
        "SUBSTITUTION": "$(touch /nowhere/never) `id` ${HOME} $HOME",
        "LINES": "one\ntwo",
        "EMPTY": "",
        "UNICODE": "grüß 🚀",
        "BACK": "a\\nb\\",
        "HASH": "a #b",
    }
    made = local.done("render-workload", name="shop", params=workload(variables=hostile))
    assert shell_reads(made["env_files"]["web"], list(hostile)) == hostile
    assert Path(made["env_files"]["web"]).stat().st_mode & 0o777 == 0o600


def test_the_compose_file_holds_the_container_with_dollars_escaped(local: Bench) -> None:
    given = workload(
        variables={"PASSWORD": "pa$$word"},
        command=["/bin/sh"],
        args=["-c", "echo $PASSWORD"],
        files={
            "/etc/app/x.conf": {"content": "a=1", "mode": "0644"},
            "/blob": {"binaryContent": base64.b64encode(b"\0\xff").decode()},
        },
        volumes={"/data": {"source": "/srv/data", "readOnly": True, "path": "sub"}},
    )
    made = local.done("render-workload", name="shop", params=given)
    compose = yaml.safe_load(Path(made["compose_file"]).read_text())
    web = compose["services"]["web"]
    assert web["environment"] == {"PASSWORD": "pa$$$$word"}
    assert web["entrypoint"] == ["/bin/sh"]
    assert web["command"] == ["-c", "echo $$PASSWORD"]
    by_target = {mount["target"]: mount for mount in web["volumes"]}
    assert by_target["/data"] == {"type": "bind", "source": "/srv/data/sub", "target": "/data", "read_only": True}
    conf = Path(by_target["/etc/app/x.conf"]["source"])
    assert conf.read_text() == "a=1"
    assert conf.stat().st_mode & 0o777 == 0o644
    assert Path(by_target["/blob"]["source"]).read_bytes() == b"\0\xff"


def test_rendering_again_leaves_only_what_the_new_version_has(local: Bench) -> None:
    first = local.done("render-workload", name="shop", params=workload(files={"/old": {"content": "x"}}))
    second = local.done("render-workload", name="shop", params=workload(variables={"NEW": "1"}), outputs=first)
    assert first["directory"] == second["directory"]
    names = sorted(str(p.relative_to(second["directory"])) for p in Path(second["directory"]).rglob("*"))
    assert names == ["compose.yaml", "web.env"]
    assert Path(second["env_files"]["web"]).read_text() == "NEW=1\n"


def test_deleting_removes_everything_and_again_is_fine(local: Bench) -> None:
    made = local.done("render-workload", name="shop", params=workload())
    local.done("check-workload", name="shop", outputs=made)
    assert local.done("delete-workload", name="shop", outputs=made) == {}
    assert not Path(made["directory"]).exists()
    assert local.done("delete-workload", name="shop", outputs=made) == {}
    answer = local.run("check-workload", name="shop", outputs=made)
    assert answer.code == REFUSED
    assert "is gone" in answer.error


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ({"files": {"/../../etc/passwd": {"content": "x"}}}, "is not a path inside a container"),
        ({"files": {"/": {"content": "x"}}}, "is not a path inside a container"),
        ({"files": {"/a": {"source": "/etc/passwd"}}}, "only whoever holds the Score file"),
        ({"files": {"/a": {"binaryContent": "%%%"}}}, "is not base64"),
        ({"files": {"/a": {"content": "x", "mode": "4755"}}}, "three octal digits"),
        ({"files": ["/a"]}, "has to be an object"),
        ({"volumes": {"/data": {"source": "relative"}}}, "is no folder"),
        ({"volumes": {"/data": {"source": "/srv", "path": "../.."}}}, "is not a path inside a container"),
        ({"variables": {"A-B": "x"}}, "cannot be an environment variable"),
        ({"variables": {"A": "x\0y"}}, "NUL"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_safely_is_refused_and_the_old_version_stays(
    local: Bench, container: Object, said: str
) -> None:
    made = local.done("render-workload", name="shop", params=workload(variables={"OLD": "1"}))
    answer = local.run("render-workload", name="shop", params=workload(**container), outputs=made)
    assert answer.code == REFUSED
    assert said in answer.error
    assert "Traceback" not in answer.error
    assert Path(made["env_files"]["web"]).read_text() == "OLD=1\n"
    assert sorted(p.name for p in Path(made["directory"]).parent.iterdir() if p.suffix != ".lock") == [
        Path(made["directory"]).name
    ]


def test_a_container_name_that_climbs_is_refused(local: Bench) -> None:
    given = {"workload": {"containers": {"../x": {"image": "busybox"}}}}
    answer = local.run("render-workload", name="shop", params=given)
    assert answer.code == REFUSED
    assert "cannot be a container's name" in answer.error


def test_a_crash_between_the_two_renames_is_repaired_by_the_next_run(local: Bench) -> None:
    made = local.done("render-workload", name="shop", params=workload())
    directory = Path(made["directory"])
    shutil.move(directory, directory.with_name(f".{directory.name}.old"))
    assert local.done("render-workload", name="shop", params=workload()) == made
    assert directory.is_dir()
    assert not directory.with_name(f".{directory.name}.old").exists()
