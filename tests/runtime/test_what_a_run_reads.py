"""A run reads its own resource and those it refers to, so that a large application costs no more than a small one."""

from pathlib import Path

import sqlalchemy as sa

from engine.domain.resource import Resource
from engine.domain.values import ResourceId
from engine.services import resources
from engine.store import resources as rows
from engine.store import tables
from engine.store.database import Store
from tests.support.platforms import ME, House, running_platform, until
from tests.support.providers import kind, script, workflow, write_provider

TEXT = [{"name": "text", "type": "string", "default": ""}]
SPEC = """\
apiVersion: score.dev/v1b1
metadata: {name: shop}
containers: {main: {image: v1}}
resources:
  early: {type: card, params: {text: early}}
  late: {type: card, params: {text: "after ${resources.early.text}"}}
  other: {type: card, params: {text: early}}
"""


def _close(store: Store, column: sa.Column[bytes], *where: sa.ColumnElement[bool]) -> None:
    """As if it had been sealed with a key that we do not have."""
    with store.begin() as tx:
        tx.connection.execute(sa.update(column.table).where(*where).values({column: b"not for us"}))


def _active(house: House, resource_id: ResourceId) -> Resource:
    def look() -> Resource | None:
        with house.store.read() as tx:
            found = rows.get(tx, resource_id)
        return found if found is not None and found.state == "active" else None

    return until(look)


def test_what_cannot_be_opened_holds_up_only_those_that_use_it(store: Store, tmp_path: Path) -> None:
    write = workflow(
        [script("writes", f'test -e {tmp_path}/may || test "$PARAM_TEXT" = early')],
        parameters=TEXT,
        outputs={"text": "{{ parameters.text }}"},
    )
    provider = write_provider(tmp_path / "team", kinds={"card": kind("write")}, workflows={"write": write})
    with running_platform(store, tmp_path, [provider]) as house:
        house.submit(SPEC)
        late = house.resource_in("card/shop.late", "failed")
        house.resource_in("card/shop.other", "active")
        _close(store, tables.resources.c.params_sealed, tables.resources.c.name == "other")
        _close(store, tables.specs.c.source_sealed)
        (tmp_path / "may").touch()
        resources.retry(house.platform, ME, late.id)
        assert _active(house, late.id).outputs == {"text": "after early"}
