"""Transactions that make executions ready."""

from collections.abc import Callable
from typing import TypeVar

from engine.services.platform import Platform
from engine.store.again import transacted
from engine.store.database import Transaction
from engine.store.drawing import draw_now

T = TypeVar("T")


def begun(platform: Platform, work: Callable[[Transaction], T]) -> T:
    """The answer of `work`, as of `transacted`; what is ready by it is begun at once where a thread is free.

    An engine of this process claims it in the same transaction, others are told of it afterwards.
    """
    with platform.signals.beginning() as claim:

        def attempt(tx: Transaction) -> T:
            answer = work(tx)
            draw_now(tx)  # whoever claims may hold up other claims until the commit
            claim(tx)  # also where nothing is ready: what an undone attempt claimed is let go
            return answer

        return transacted(platform.store.by_keys, attempt)
