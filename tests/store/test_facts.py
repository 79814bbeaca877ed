"""What holds for the platform as a whole: its key, and whether workers may claim."""

import pytest

from engine.errors import Unavailable
from engine.store import claims, facts
from engine.store.database import Store
from engine.store.executions import NewExecution, queue
from engine.store.sealing import Sealer


def test_a_process_with_another_key_is_found_at_its_start(store: Store) -> None:
    for _ in range(2):
        with store.begin() as tx:
            facts.check_key(tx)
    other = Store(store.engine, Sealer(bytes(32)))
    with pytest.raises(Unavailable) as told, other.begin() as tx:
        facts.check_key(tx)
    assert told.value.code == "wrong_secret_key"
    assert "INNOMINATUS_SECRET_KEY" in told.value.hint


def test_nothing_is_claimed_while_claiming_is_paused(store: Store) -> None:
    new = NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")
    with store.begin() as tx:
        queue(tx, [new])
        assert facts.put(tx, facts.PAUSED, actor="user:ops", reason="maintenance")
        assert not facts.put(tx, facts.PAUSED, actor="user:other"), "the first word stands"
    with store.begin() as tx:
        assert claims.claim(tx, worker="me", limit=1, cap=1, lease=60) == []
        found = facts.get(tx, facts.PAUSED)
        assert found is not None
        assert (found.actor, found.reason) == ("user:ops", "maintenance")
        assert facts.drop(tx, facts.PAUSED)
    with store.begin() as tx:
        assert len(claims.claim(tx, worker="me", limit=1, cap=1, lease=60)) == 1
