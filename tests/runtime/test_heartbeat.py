"""Leases as the process that holds them sees them."""

import time

from engine.runtime.claimer import Claimer
from engine.runtime.heartbeat import Heartbeat
from engine.runtime.warden_client import WardenClient
from engine.store import executions
from engine.store.database import Store


def test_a_fresh_claim_has_its_whole_lease_though_the_last_beat_is_long_ago(store: Store) -> None:
    claimer = Claimer(store, worker="me", threads=2, cap=10, lease=30)
    start = iter([time.monotonic() - 86_400])  # the process was stopped for a day, and claims before it beats again
    clock = lambda: next(start, time.monotonic())  # noqa: E731 - only the first look was long ago
    heartbeat = Heartbeat(store, claimer, WardenClient(), worker="me", lease=30, clock=clock)
    new = executions.NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")
    with store.begin() as tx:
        (execution_id,) = executions.queue(tx, [new])
    held = claimer.next()
    assert held is not None
    assert 20 < heartbeat.lease_left(execution_id) <= 30
