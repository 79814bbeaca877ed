"""The judge: reads what happened and says everything that must never happen.

It knows the engine's promises and the tables of legal states, and nothing of how the engine keeps them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from engine.domain.execution import EXECUTION_TRANSITIONS, FINAL, STEP_TRANSITIONS, ExecutionState, StepState
from engine.domain.resource import PROVISIONED, TRANSITIONS, ResourceState
from tests.chaos.history import Change, Effect, Row, moment

_BEGINS = {"provisioning", "updating"}
_OVER = {state.value for state in FINAL}
_STANDS = {state.value for state in PROVISIONED}


@dataclass(frozen=True, slots=True)
class Pace:
    """What may take how long. `threads` is what one worker has; `slack` is for a machine that is busy otherwise.

    In an `away` window (from, to) the database or every worker was away: that time, and one lease after it in which
    workers leave each other's work alone, does not count.
    """

    lease: float
    sweep: float
    threads: int
    slack: float = 0.0
    away: tuple[tuple[float, float], ...] = ()

    def counted(self, start: float, end: float) -> float:
        """Seconds between the two moments without those that were away."""
        lost, reached = 0.0, start
        for gone, back in sorted((gone, back + self.lease) for gone, back in self.away):
            first, last = max(gone, reached), min(back, end)
            if last > first:
                lost += last - first
                reached = last
        return end - start - lost


def violations(
    changes: Sequence[Change], effects: Sequence[Effect], *, pace: Pace, once: frozenset[str] = frozenset()
) -> list[str]:
    """Every broken promise, as a sentence. `once` names the steps that are declared `idempotent: false`."""
    found: list[str] = []
    found += _leases(changes)
    found += _states(changes)
    found += _steps(changes)
    found += _effects(changes, effects, once)
    found += _order(changes)
    found += _events(changes)
    found += _silence(changes, pace)
    found += _starvation(changes, pace)
    return found


def _of(changes: Iterable[Change], noun: str) -> Iterator[Change]:
    return (change for change in changes if change.noun == noun)


def _updates(changes: Iterable[Change], noun: str) -> Iterator[tuple[Change, Row, Row]]:
    for change in _of(changes, noun):
        if change.before is not None and change.after is not None:
            yield change, change.before, change.after


def _transactions(changes: Iterable[Change]) -> list[list[Change]]:
    """The changes of each transaction, in an order in which they can have been committed."""
    found: dict[int, list[Change]] = {}
    for change in changes:
        found.setdefault(change.tx, []).append(change)
    return sorted(found.values(), key=lambda group: group[-1].number)


# --- leases and fences ---


def _leases(changes: Sequence[Change]) -> Iterator[str]:
    for change, before, after in _updates(changes, "executions"):
        who = f"execution {after['id']}"
        if after["fence"] < before["fence"]:
            yield f"{who}: the fence fell from {before['fence']} to {after['fence']}"
        if after["fence"] > before["fence"]:
            stands = before["state"] == "running" and before["ready_at"] and moment(before["ready_at"]) > change.at
            if stands:
                yield f"{who}: {after['worker']} took it while the lease of {before['worker']} held until {before['ready_at']}"
            if after["fence"] != before["fence"] + 1 or after["sequence"] != before["sequence"]:
                yield f"{who}: a claim did more than raise the fence by one"
        elif after["state"] == before["state"] == "running" and after["worker"] != before["worker"]:
            yield f"{who}: {after['worker']} holds it under the fence of {before['worker']}"
        if after["sequence"] != before["sequence"] and (
            after["sequence"] != before["sequence"] + 1 or before["state"] != "running"
        ):
            yield f"{who}: record {after['sequence']} was written after {before['sequence']}, while {before['state']}"


# --- states ---


def _states(changes: Sequence[Change]) -> Iterator[str]:
    for _, before, after in _updates(changes, "executions"):
        old, new = ExecutionState(before["state"]), ExecutionState(after["state"])
        if old is not new and new not in EXECUTION_TRANSITIONS[old]:
            yield f"execution {after['id']}: went from {old} to {new}"
        elif old is new and old in FINAL and after["sequence"] != before["sequence"]:
            yield f"execution {after['id']}: was written to after it had {old}"
    for _, before, after in _updates(changes, "step_runs"):
        old_step, new_step = StepState(before["state"]), StepState(after["state"])
        if old_step is not new_step and new_step not in STEP_TRANSITIONS[old_step]:
            yield f"{_attempt(after)}: went from {old_step} to {new_step}"
    for _, before, after in _updates(changes, "resources"):
        old_state, new_state = ResourceState(before["state"]), ResourceState(after["state"])
        if old_state is not new_state and new_state not in _reach(old_state):
            yield f"{_resource(after)}: went from {old_state} to {new_state}"
        if after["observed_generation"] < before["observed_generation"]:
            yield f"{_resource(after)}: its observed generation fell"
        if after["desired_generation"] < before["desired_generation"]:
            yield f"{_resource(after)}: its desired generation fell"


def _reach(state: ResourceState) -> frozenset[ResourceState]:
    """Where one write may take a resource: one transition, or on from `terminated` to what is wanted again."""
    direct = TRANSITIONS[state]
    return direct | TRANSITIONS[ResourceState.TERMINATED] if ResourceState.TERMINATED in direct else direct


def _attempt(row: Row) -> str:
    return f"execution {row['execution_id']}, step `{row['name']}`, attempt {row['attempt']}"


def _resource(row: Row) -> str:
    return f"resource {row['type']}/{row['identity']}"


def _steps(changes: Sequence[Change]) -> Iterator[str]:
    """A step is at work once at a time, and never again once it has succeeded."""
    at_work: dict[tuple[int, int], set[int]] = defaultdict(set)
    succeeded: dict[tuple[int, int], int] = {}
    for group in _transactions(_of(changes, "step_runs")):
        for change in group:
            row = change.after
            if row is None:
                continue
            place = (row["execution_id"], row["position"])
            if change.before is None and place in succeeded and row["attempt"] > succeeded[place]:
                yield f"{_attempt(row)}: begun though attempt {succeeded[place]} had succeeded"
            if row["state"] == "running":
                at_work[place].add(row["attempt"])
            else:
                at_work[place].discard(row["attempt"])
            if row["state"] == "succeeded":
                succeeded[place] = row["attempt"]
        for row in (change.after for change in group if change.after is not None):
            if len(at_work[row["execution_id"], row["position"]]) > 1:
                yield f"{_attempt(row)}: at work beside another attempt"
                at_work[row["execution_id"], row["position"]].clear()


# --- the world ---


@dataclass
class _Doing:
    begins: list[Effect] = field(default_factory=list[Effect])
    ends: int = 0
    open: dict[int, int] = field(default_factory=dict[int, int])
    """Per process, how many had begun when it began."""


def _effects(changes: Sequence[Change], effects: Sequence[Effect], once: frozenset[str]) -> Iterator[str]:
    world: dict[tuple[int, str], _Doing] = defaultdict(_Doing)
    for effect in effects:
        yield from _overlap(effect, world[effect.execution, effect.step])
    begun: Counter[tuple[int, str]] = Counter()
    done: set[tuple[int, str]] = set()
    for change in _of(changes, "step_runs"):
        if change.before is None and change.after is not None:
            begun[change.after["execution_id"], change.after["name"]] += 1
        if change.after is not None and change.after["state"] == "succeeded":
            done.add((change.after["execution_id"], change.after["name"]))
    for (execution, step), doing in world.items():
        who = f"execution {execution}, step `{step}`"
        if len(doing.begins) > begun[execution, step]:
            yield f"{who}: had {len(doing.begins)} effects in {begun[execution, step]} attempts on record"
        most = max(Counter(effect.attempt for effect in doing.begins).values(), default=0)
        if step in once and most > 1:
            yield f"{who}: is not idempotent and had its effect {most} times in one attempt"
    known = {step for _, step in world}
    for execution, step in sorted(done):
        if step in known and not world[execution, step].ends:
            yield f"execution {execution}, step `{step}`: succeeded on record without its effect"


def _overlap(effect: Effect, doing: _Doing) -> Iterator[str]:
    who = f"execution {effect.execution}, step `{effect.step}`"
    if effect.key != f"{effect.execution}-{effect.step}":
        yield f"{who}: had its effect under the key {effect.key}"
    if effect.what == "begin":
        doing.begins.append(effect)
        doing.open[effect.pid] = len(doing.begins)
        return
    doing.ends += 1
    if doing.open.pop(effect.pid, 0) != len(doing.begins):
        yield f"{who}: process {effect.pid} was still at work after another one had begun"


# --- dependencies ---


def _order(changes: Sequence[Change]) -> Iterator[str]:
    """What a resource needs is there before it is made, and until it is gone."""
    needs = _Needs()
    for group in _transactions(changes):
        for change in group:
            if change.noun == "resource_dependencies":
                needs.take_edge(change)
        yield from needs.judge(_latest(group, "resources"), _moved(group, "resources"))


@dataclass
class _Needs:
    """The resources as they stand, what each depends on now, and what it depended on when it was made."""

    rows: dict[int, Row] = field(default_factory=dict[int, Row])
    edges: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    made_with: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def take_edge(self, change: Change) -> None:
        if change.before is not None:
            self.edges[change.before["resource_id"]].discard(change.before["depends_on_id"])
        if change.after is not None and not change.after["stale"]:
            self.edges[change.after["resource_id"]].add(change.after["depends_on_id"])

    def judge(self, written: dict[int, Row], moved: Sequence[Row]) -> Iterator[str]:
        self.rows |= written
        for row in moved:
            number = row["id"]
            if row["state"] in _BEGINS:
                yield from self._too_early(row)
            elif row["state"] in _STANDS:
                self.made_with[number] = set(self.edges[number])
            elif row["state"] == "terminated":
                self.made_with.pop(number, None)
            elif row["state"] == "terminating":
                yield from self._too_soon(row)

    def _too_early(self, row: Row) -> Iterator[str]:
        self.made_with[row["id"]] |= self.edges[row["id"]]
        for needed in (self.rows[number] for number in sorted(self.edges[row["id"]])):
            if needed["state"] not in _STANDS:
                yield f"{_resource(row)}: {row['state']} while {_resource(needed)} was {needed['state']}"

    def _too_soon(self, row: Row) -> Iterator[str]:
        for other in (self.rows[number] for number, needs in self.made_with.items() if row["id"] in needs):
            if other["state"] != "terminated":
                yield f"{_resource(row)}: deleted while {_resource(other)}, made with it, was {other['state']}"


# --- events ---


def _events(changes: Sequence[Change]) -> Iterator[str]:
    """Every mutation has its event, in its own transaction, and no event comes without its mutation."""
    for group in _transactions(changes):
        events = _inserted(group, "events")
        yield from _untold(group, events)
        ended = {row["id"]: row["state"] for row in _moved(group, "executions")}
        for kind, execution in {(row["kind"], row["execution_id"]) for row in events}:
            state = kind.removeprefix("execution.")
            if kind.startswith("execution.") and state in _OVER and ended.get(execution) != state:
                yield f"execution {execution}: the event {kind} tells of what did not happen"


def _untold(group: Sequence[Change], events: Sequence[Row]) -> Iterator[str]:
    of_resources = {(row["kind"], row["resource_id"]) for row in events}
    of_executions = Counter((row["kind"], row["execution_id"]) for row in events)
    spoken_of = {row["execution_id"] for row in events}
    for row in _moved(group, "resources"):
        if (f"resource.{row['state']}", row["id"]) not in of_resources:
            yield f"{_resource(row)}: became {row['state']} without an event"
    for row in _moved(group, "executions"):
        count = of_executions[f"execution.{row['state']}", row["id"]]
        if row["state"] == "pending" and row["id"] not in spoken_of and row["operation"] != "read":
            yield f"execution {row['id']}: was {'queued' if row['attempt'] == 1 else 'retried'} without an event"
        elif row["state"] in _OVER and count != 1 and (row["operation"], row["state"]) != _ROUTINE:
            yield f"execution {row['id']}: has {row['state']} with {count} events"


_ROUTINE = ("read", "succeeded")


def _inserted(group: Iterable[Change], noun: str) -> list[Row]:
    return [change.after for change in _of(group, noun) if change.before is None and change.after is not None]


def _latest(group: Iterable[Change], noun: str) -> dict[int, Row]:
    return {change.after["id"]: change.after for change in _of(group, noun) if change.after is not None}


def _moved(group: Sequence[Change], noun: str) -> list[Row]:
    """The rows whose state is another one after the transaction than before it, as they stand then."""
    first: dict[int, str | None] = {}
    for change in _of(group, noun):
        if change.after is not None:
            first.setdefault(change.after["id"], change.before["state"] if change.before else None)
    return [row for number, row in _latest(group, noun).items() if first[number] != row["state"]]


# --- time ---


def _silence(changes: Sequence[Change], pace: Pace) -> Iterator[str]:
    """Whatever runs hears from its worker, or is taken over, before two leases have passed."""
    end = max((change.at for change in changes), default=0.0)
    for execution, line in _lines(changes).items():
        for change, following in zip(line, [*line[1:], None], strict=True):
            row = change.after
            if row is None or row["state"] != "running" or not row["ready_at"]:
                continue
            until = following.at if following else end
            silent = pace.counted(moment(row["ready_at"]), until) + pace.lease
            if silent > 2 * pace.lease + pace.slack:
                yield f"execution {execution}: running for {silent:.1f} s without a heartbeat of {row['worker']}"


def _starvation(changes: Sequence[Change], pace: Pace) -> Iterator[str]:
    """What is ready is claimed within two sweeps, unless the threads of even one worker were taken all the time."""
    end = max((change.at for change in changes), default=0.0)
    idle = _idle(changes, pace.threads, end)
    for execution, line in _lines(changes).items():
        for change, following in zip(line, [*line[1:], None], strict=True):
            row = change.after
            if row is None or row["state"] not in {"pending", "waiting"} or not row["ready_at"]:
                continue
            since = max(change.at, moment(row["ready_at"]))
            until = following.at if following else end
            for free, taken in idle:
                waited = pace.counted(max(since, free), min(until, taken))
                if waited > 2 * pace.sweep + pace.slack:
                    yield f"execution {execution}: ready for {waited:.1f} s while nobody claimed it"


def _lines(changes: Sequence[Change]) -> dict[int, list[Change]]:
    """What happened to each execution."""
    found: dict[int, list[Change]] = defaultdict(list)
    for change in _of(changes, "executions"):
        if change.after is not None:
            found[change.after["id"]].append(change)
    return found


def _idle(changes: Sequence[Change], threads: int, end: float) -> list[tuple[float, float]]:
    """The times at which fewer executions were running than one worker has threads."""
    running: set[int] = set()
    since: float | None = 0.0
    found: list[tuple[float, float]] = []
    for change in _of(changes, "executions"):
        row = change.after
        if row is None:
            continue
        if row["state"] == "running":
            running.add(row["id"])
        else:
            running.discard(row["id"])
        if len(running) >= threads and since is not None:
            found.append((since, change.at))
            since = None
        elif len(running) < threads and since is None:
            since = change.at
    return found if since is None else [*found, (since, end)]
