"""The worker threads of a process."""

import threading

from engine.runtime.queue import LocalQueue


def test_threads_that_rest_end_as_soon_as_they_are_told() -> None:
    """They rest for longer than anybody waits for them here."""
    before = set(threading.enumerate())
    queue = LocalQueue(lambda: None, threads=16)
    queue.start()
    queue.stop(timeout=2)
    assert set(threading.enumerate()) <= before


def test_a_nudge_calls_a_thread_that_rests() -> None:
    called = threading.Event()
    queue = LocalQueue(called.set, threads=4)
    queue.start()
    try:
        queue.nudge()
        assert called.wait(4)
    finally:
        queue.stop(timeout=2)
