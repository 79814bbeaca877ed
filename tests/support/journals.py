"""Writing to a journal in tests: on the calling thread, as a worker thread of the engine would."""

import threading
from collections.abc import Generator
from typing import Any

from engine.store.journal import Answer, Journal
from engine.store.records import Record


def write(journal: Journal[Any], record: Record) -> bool:
    """Put a record and see it written, by this thread or by another that is writing already."""
    answers: list[Answer] = []
    answered = threading.Event()

    def answer(told: Answer) -> None:
        answers.append(told)
        answered.set()

    journal.put(record, answer)
    while not answered.is_set():
        if not journal.flush():
            answered.wait(0.01)
    (told,) = answers
    if isinstance(told, Exception):
        raise told
    return told


def carry(journal: Journal[Any], writing: Generator[Record, bool, None]) -> None:
    """Carry on what hands out records until it is done, or raises."""
    try:
        record = next(writing)
        while True:
            try:
                held = write(journal, record)
            except Exception as error:  # noqa: BLE001 - it is for the writer to judge
                record = writing.throw(error)
            else:
                record = writing.send(held)
    except StopIteration:
        pass
