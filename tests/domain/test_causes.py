"""Classes of causes: facts before words, the same for the same records, and never at a loss."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.causes import REASONS, classify
from engine.domain.diagnosis import CauseClass, FailedStep, Fault
from engine.domain.log_window import around
from tests.support.faults import HEARD

STEP = FailedStep("makes", "policy", 1)
TEXT = st.text(st.sampled_from("quota exceeded timed out denied: 403 \n\t`'\x00é"), max_size=400) | st.text(
    max_size=200
)


@pytest.mark.parametrize(("reason", "cause"), sorted(REASONS.items()))
def test_a_fact_on_record_is_not_overruled_by_words(reason: str, cause: CauseClass) -> None:
    words = "error: access denied, quota exceeded, timed out"
    assert classify(Fault(words, reason, log=words, step=STEP)).cause is cause


@pytest.mark.parametrize(
    ("error", "log", "cause"),
    [
        ("time limit exceeded", "", "timeout"),
        ("maximum recursion depth exceeded", "", "provider"),
        ("certificate validation failed", "", "provider"),
        ("INFO: quota exceeded earlier\nboom", "", "provider"),
        ("boom", 'level=warn msg="access denied"\nlevel=error msg="no space left on device"', "quota"),
        ("boom", "2026-01-02 10:00:00 INFO access denied for bots\n2026-01-02 10:00:01 ERROR boom", "provider"),
        ("timed out waiting for the condition", "Error: permission denied: cannot mount the volume", "credentials"),
        ("timed out waiting for the condition", "connecting ... connection refused, retrying", "timeout"),
        ("Max retries exceeded with url: / (Caused by NewConnectionError: Connection refused)", "", "provider"),
        ("", "", "provider"),
    ],
)  # fmt: skip
def test_words_count_where_they_are_said_of_the_failure(error: str, log: str, cause: str) -> None:
    assert classify(Fault(error, "exit_1", log=log, step=STEP)).cause == cause


def test_the_words_of_many_programs_are_understood() -> None:
    slips: list[str] = []
    for name, (cause, text) in HEARD.items():
        last = "\n".join(line.strip() for line in text.splitlines()[-5:])
        found = classify(Fault(f"The script ended with exit code 1: {last}", "exit_1", log=text, step=STEP))
        slips += [] if found.cause == cause else [f"{name}: {found.cause}, not {cause} ({found.evidence})"]
    assert len(HEARD) > 100
    assert not slips, "\n".join(slips)


def test_what_a_person_wrote_into_the_address_of_a_request_decides_nothing() -> None:
    error = "POST http://x/quota-exceeded/forbidden answered 500, expected 2xx: oops"
    assert classify(Fault(error, "http_500", step=STEP)).cause is CauseClass.PROVIDER


@given(error=TEXT, log=TEXT, reason=st.sampled_from(["", "failed", "exit_1", "http_403", "http_999", "invalid", "odd"]))
def test_every_failure_has_a_class_and_evidence(error: str, log: str, reason: str) -> None:
    fault = Fault(error, reason, log=log, step=STEP)
    found = classify(fault)
    assert found.evidence
    assert found == classify(fault)


@given(log=st.text(max_size=3000), telling=st.text(max_size=20))
def test_a_window_into_a_log_is_never_large(log: str, telling: str) -> None:
    window = around(log, telling)
    assert len(window.splitlines()) <= 22
    assert len(window.encode()) <= 2100


def test_a_window_shows_the_telling_line_with_what_stood_around_it() -> None:
    log = "\n".join(f"line {number}" for number in range(100))
    assert around(log, "line 50").splitlines()[0] == "[37 lines before]"
    assert around(log, "line 50").splitlines()[-1] == "[43 lines after]"
    assert around("one\ntwo", "") == "one\ntwo"
