"""Which class of cause a failure has: by facts on record first, by what was said only where no fact decides."""

import re
from collections.abc import Iterable, Sequence

from engine.domain.diagnosis import CauseClass, Fault, Finding
from engine.domain.telltales import Telltale, is_error, is_passing, telltale

_C = CauseClass
REASONS: dict[str, CauseClass] = {
    "timeout": _C.TIMEOUT,
    "unreachable": _C.PROVIDER,
    "cut_off": _C.PROVIDER,
    "untrusted": _C.PROVIDER,
    "no_program": _C.PLATFORM,
    "interrupted": _C.PLATFORM,
    "internal": _C.PLATFORM,
    "orphaned": _C.PLATFORM,
    "unavailable": _C.PLATFORM,
    "database_unavailable": _C.PLATFORM,
    "busy": _C.PLATFORM,
    "data_dir": _C.PLATFORM,
    "engine_stopping": _C.PLATFORM,
    "warden_gone": _C.PLATFORM,
    "lives_elsewhere": _C.PLATFORM,
    "no_workflow": _C.PROVIDER,
    "too_deep": _C.PROVIDER,
    "waits_for_itself": _C.PROVIDER,
    "missing_application": _C.PROVIDER,
    "workflow_not_found": _C.PROVIDER,
    "unknown_resource_type": _C.PROVIDER,
    "provider_bundle_not_found": _C.PROVIDER,
    "placeholder": _C.DEPENDENCY,
    "gone": _C.DEPENDENCY,
    "invalid_inputs": _C.SPEC,
    "invalid_spec": _C.SPEC,
    "invalid_environment": _C.SPEC,
    "protected": _C.SPEC,
    "blocked": _C.SPEC,
    "cancelled": _C.CANCELLED,
    "exit_124": _C.TIMEOUT,
    "exit_126": _C.PROVIDER,
    "exit_127": _C.PLATFORM,
    "exit_134": _C.PROVIDER,
    "exit_137": _C.QUOTA,
    "exit_139": _C.PROVIDER,
}
"""What a reason says by itself. 124 is what the program `timeout` ends with, 137 SIGKILL: most often out of memory."""

_BY_STATUS: dict[int, CauseClass] = {
    **dict.fromkeys((400, 413, 414, 415, 422), _C.SPEC),
    **dict.fromkeys((401, 403, 407), _C.CREDENTIALS),
    **dict.fromkeys((402, 429, 507), _C.QUOTA),
    **dict.fromkeys((408, 504), _C.TIMEOUT),
}
_UNCLEAR = frozenset({400, 403, 409, 412, 422, 500, 503})
"""Statuses that are also used for limits and rights: what the answer says of those comes first."""
_HTTP, _EXIT = re.compile(r"http_([1-5][0-9]{2})"), re.compile(r"exit_[0-9]{1,3}")
_PREAMBLE = re.compile(
    r"(step `[^`\n]{1,200}`: )?(The script ended with exit code [0-9]{1,3}(: |\.)|The check failed: )?"
)
_ANSWERED = re.compile(r"^.{0,9000}? answered [0-9]{3}, expected [0-9x, ]{1,200}(: |\.)", re.DOTALL)
_MOST_LINES, _MOST_LETTERS = 60, 500
_WRITTEN = frozenset({"invalid", "expression"})
"""Reasons of a config or an expression, which the workflow has from its author, or from what was asked for."""
_SPEC_OR_PROVIDER = {True: _C.SPEC, False: _C.PROVIDER}


def classify(fault: Fault) -> Finding:
    """Pure and the same every time. What nothing speaks of is the provider's: its workflow failed."""
    status = _HTTP.fullmatch(fault.reason)
    if status:
        return _by_status(int(status[1]), fault)
    known = _SPEC_OR_PROVIDER[fault.asks_params] if fault.reason in _WRITTEN else REASONS.get(fault.reason)
    if known is None and _was_refused(fault):
        known = _C.SPEC
    if known is not None:
        return Finding(known, f"reason `{fault.reason}`")
    return _by_words(fault) or _unsaid(fault.reason)


def _was_refused(fault: Fault) -> bool:
    """Whether the platform refused the resource or the spec that the step asked it for: its reason is our own code."""
    asked = fault.step is not None and fault.step.type == "resource-provisioning"
    return asked and fault.reason not in {"", "failed"}


def _unsaid(reason: str) -> Finding:
    if reason == "exit_78":
        return Finding(_C.SPEC, "exit code 78: trying again is of no use")
    if reason == "workspace":
        return Finding(_C.PLATFORM, "reason `workspace`")
    code = f"{reason.replace('exit_', 'exit code ')}, and " if _EXIT.fullmatch(reason) else ""
    return Finding(_C.PROVIDER, f"{code}nothing it said tells more")


def _by_status(status: int, fault: Fault) -> Finding:
    """The far side's status; what it says of limits and rights where the status leaves that open."""
    if status in _UNCLEAR:
        said = _best(_lines(_ANSWERED.sub("", fault.error, count=1)))
        limits = said is not None and said[0].cause is _C.QUOTA
        rights = said is not None and said[0].cause is _C.CREDENTIALS and status < 500
        if said is not None and (limits or rights):
            return Finding(said[0].cause, f"HTTP status {status} and its words", said[1])
    return Finding(_BY_STATUS.get(status, _C.PROVIDER), f"HTTP status {status}")


def _by_words(fault: Fault) -> Finding | None:
    """What the error says. Where it says little (that a wait timed out), what the log says of an error goes before."""
    said = _best(_lines(_PREAMBLE.sub("", fault.error, count=1)))
    if said is None or said[0].weak:
        errors = [line for line in _lines(fault.log)[-_MOST_LINES:] if is_error(line)]
        logged = _best(errors)
        if logged is not None and (said is None or not logged[0].weak):
            said = logged
    return None if said is None else Finding(said[0].cause, f"its words: {_matched(*said)}", said[1])


def _matched(found: Telltale, line: str) -> str:
    match = found.pattern.search(line)
    assert match is not None
    return f"`{match[0].strip()[:80]}`"


def _best(lines: Iterable[str]) -> tuple[Telltale, str] | None:
    """The most telling of the lines: strong words before weak ones, errors before other lines, then the last one."""
    best: tuple[tuple[bool, bool, int], Telltale, str] | None = None
    for number, line in enumerate(lines):
        if is_passing(line) or (found := telltale(line)) is None:
            continue
        rank = (not found.weak, is_error(line), number)
        if best is None or rank > best[0]:
            best = rank, found, line
    return None if best is None else best[1:]


def _lines(text: str) -> Sequence[str]:
    return [line.strip()[:_MOST_LETTERS] for line in text.splitlines() if line.strip()]
