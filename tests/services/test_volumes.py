"""A container's volume from a resource, in the spelling of Score and in ours, planned and then really rendered."""

from pathlib import Path

import pytest
import yaml

from engine.errors import Invalid, Problem
from engine.providers.loading import default_folders
from tests.services.conftest import Build, House


@pytest.fixture
def house(build: Build) -> House:
    """With what is shipped."""
    return build(*default_folders())


def document(volumes: str, files: str = "{}") -> str:
    return f"""\
apiVersion: score.dev/v1b1
metadata: {{name: shop}}
containers:
  web:
    image: busybox
    files: {files}
    volumes:
      {volumes}
resources:
  files: {{type: volume}}
  key: {{type: secret}}
  log: {{type: environment, params: {{LEVEL: info}}}}
"""


def problems(house: House, source: str) -> list[Problem]:
    with pytest.raises(Invalid) as refused:
        house.plan(source)
    return list(refused.value.problems)


@pytest.mark.parametrize(
    "volumes",
    [
        "/data: {source: '${resources.files}', path: sub, readOnly: true}",
        "/data: {source: '${resources.files.source}', path: sub, readOnly: true}",
        "- {source: '${resources.files}', target: /data, path: sub, readOnly: true}",
        "- {source: '${resources.files.source}', target: /data, path: sub, readOnly: true}",
        "/data: {source: '${resources.files.source}/sub', readOnly: true}",
    ],
)
def test_a_volume_resource_is_mounted_where_a_volume_names_it(house: House, volumes: str) -> None:
    source = document(volumes)
    planned = house.plan(source)
    assert planned.plan is not None
    assert planned.plan.items[-1].depends_on
    house.submit(source)
    house.rest()
    assert set(house.states("shop").values()) == {"active"}
    made = house.resources("shop")
    compose = yaml.safe_load(Path(str(made["workload"].outputs["compose_file"])).read_text())
    folder = str(made["files"].outputs["source"])
    assert Path(folder).is_dir()
    assert compose["services"]["web"]["volumes"] == [
        {"type": "bind", "source": f"{folder}/sub", "target": "/data", "read_only": True}
    ]


@pytest.mark.parametrize(
    ("volumes", "path", "message", "fix"),
    [
        (
            "/data: {source: '${resources.key}'}",
            'containers.web.volumes["/data"].source',
            "`${resources.key}` is no volume: `secret` gives out no `source` to mount",
            "name a resource of type `volume`, or an output that is a folder; it has `value`",
        ),
        (
            "- {target: /data, source: '${resources.key}'}",
            "containers.web.volumes[0].source",
            "`${resources.key}` is no volume: `secret` gives out no `source` to mount",
            "name a resource of type `volume`, or an output that is a folder; it has `value`",
        ),
        (
            "/data: {source: '${resources.files.sorce}'}",
            'containers.web.volumes["/data"].source',
            "`${resources.files.sorce}` reads an output that `volume` does not have",
            "did you mean `${resources.files.source}`?",
        ),
        (
            "/data: {source: '${resources.files}/a/b/'}",
            'containers.web.volumes["/data"].source',
            "`${resources.files}` stands for a whole volume, and `/a/b/` follows it",
            "write `${resources.files}` here and `path: a/b` beside it",
        ),
        (
            "/data: {source: '${resources.files}-old'}",
            'containers.web.volumes["/data"].source',
            "`${resources.files}` stands for a whole volume, and `-old` follows it",
            "write `${resources.files}` here alone",
        ),
        (
            "/data: {source: files}",
            'containers.web.volumes["/data"].source',
            "`source` must match the pattern ^/",
            "Write `${resources.NAME}` for a resource of type `volume`, or an absolute path.",
        ),
        (
            "- {target: /data, source: './files'}",
            'containers.web.volumes["/data"].source',
            "`source` must match the pattern ^/",
            "Write `${resources.NAME}` for a resource of type `volume`, or an absolute path.",
        ),
    ],
)
def test_a_volume_that_cannot_be_mounted_is_refused_by_the_plan(
    house: House, volumes: str, path: str, message: str, fix: str
) -> None:
    (found,) = problems(house, document(volumes))
    assert (found.path, found.message, found.fix) == (path, message, fix)
    assert (found.line, found.column > 7) == (8, True)


def test_a_type_that_does_not_say_what_it_gives_out_may_give_a_volume(house: House) -> None:
    assert house.plan(document("/data: {source: '${resources.log}'}")).plan is not None


def test_a_file_that_only_its_owner_can_read_is_refused_by_the_plan(house: House) -> None:
    (found,) = problems(house, document("/data: {source: /srv}", files="{/etc/a: {source: ./LICENSE}}"))
    assert (found.path, found.line) == ('containers.web.files["/etc/a"].source', 6)
    assert found.message == "`source` may not be given"
    assert "write its text into `content`" in found.fix
