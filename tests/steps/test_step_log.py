from hypothesis import given, settings
from hypothesis import strategies as st

from engine.steps.step_log import StepLog


def test_a_short_log_is_kept_whole() -> None:
    log = StepLog(1000)
    log.add("one")
    log.add("two\nthree")
    log.add("")
    assert log.text() == "one\ntwo\nthree\n\n"
    assert log.count == 4


def test_a_long_log_keeps_head_and_tail_and_counts_the_rest() -> None:
    log = StepLog(1000)
    for number in range(1, 10_001):
        log.add(f"line {number}")
    lines = log.text().splitlines()
    assert lines[0] == "line 1"
    assert lines[-1] == "line 10000"
    left_out = next(line for line in lines if line.endswith("lines left out]"))
    assert int(left_out[1:].split()[0]) + len(lines) - 1 == 10_000


def test_take_gives_each_new_line_once() -> None:
    log = StepLog(100)
    log.add("a")
    assert log.take() == [(1, "a")]
    assert log.take() == []
    for number in range(100):
        log.add(f"b{number}")
    taken = log.take()
    assert taken[0] == (2, "b0")
    assert taken[-1] == (101, "b99")
    assert log.take() == []
    log.add("c")
    assert log.take() == [(102, "c")]


def test_what_a_database_or_terminal_cannot_take_is_removed() -> None:
    log = StepLog(1000)
    log.add("a\0b\ud800c\x1b[2Jd\te")
    assert log.text() == "ab?cd\te\n"


@given(st.lists(st.text(max_size=300), max_size=60), st.integers(20, 2000))
@settings(max_examples=60)
def test_a_log_never_outgrows_its_size(texts: list[str], size: int) -> None:
    log = StepLog(size)
    for text in texts:
        log.add(text)
    kept = log.lines()
    assert sum(len(line.encode()) + 1 for _, line in kept) <= size + 2
    assert [number for number, _ in kept] == sorted({number for number, _ in kept})
    assert all(1 <= number <= log.count for number, _ in kept)
    log.text().encode()
