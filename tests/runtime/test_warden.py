import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from engine.domain.values import ExecutionId
from engine.errors import Unavailable
from engine.runtime import warden
from engine.runtime.warden_client import WardenClient

ONE, TWO = ExecutionId(1), ExecutionId(2)

ENGINE = """
import contextlib, os, signal, sys, threading, time
from pathlib import Path
from engine.domain.values import ExecutionId
from engine.runtime.warden_client import WardenClient
from engine.steps import process

class Token:
    cancelled = False
    def wait(self, seconds):
        time.sleep(seconds)
        return False

def say(stream, line):
    print(line, flush=True)

@contextlib.contextmanager
def die(pgid):
    print(pgid, flush=True)
    os.kill(os.getpid(), 9)
    yield

client = WardenClient()
client.start()
token = Token()
how, lease = sys.argv[2], float(sys.argv[3])

@contextlib.contextmanager
def guard(pgid):
    deadline = time.monotonic() + lease
    if how == "stopped":
        print(pgid, flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
    with client.guard(pgid, ExecutionId(1), deadline, lapsed=lambda: setattr(token, "cancelled", True)):
        yield

process.run(
    ["sh", "-c", sys.argv[1]], env={"PATH": "/usr/bin:/bin"}, cwd=Path("/"), deadline=time.monotonic() + 60,
    cancel=token, on_line=say, register=die if how == "dies" else guard,
)
"""


def soon(seconds: float) -> float:
    return time.monotonic() + seconds


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ends(pid: int, *, within: float) -> bool:
    end = time.monotonic() + within
    while running(pid):
        if time.monotonic() > end:
            return False
        threading.Event().wait(0.02)
    return True


@pytest.fixture
def client() -> Iterator[WardenClient]:
    client = WardenClient()
    client.start()
    yield client
    client.stop()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


def engine(script: str, *, lease: float = 60, how: str = "runs") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ENGINE, script, how, str(lease)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def first_numbers(child: subprocess.Popen[str], count: int) -> list[int]:
    assert child.stdout is not None
    return [int(child.stdout.readline()) for _ in range(count)]


def test_whose_lease_ran_out_is_told_so_although_it_was_extended_afterwards(sleeper: subprocess.Popen[bytes]) -> None:
    client = WardenClient()
    client.start()
    told: list[str] = []
    try:
        with client.guard(sleeper.pid, TWO, soon(60), lapsed=lambda: told.append("two")):
            client.extend([TWO], soon(60))
        with client.guard(sleeper.pid, ONE, soon(0.05), lapsed=lambda: told.append("one")):
            sleeper.wait(10)
            client.extend([ONE], soon(60))
    finally:
        client.stop()
    assert told == ["one"]


@pytest.fixture
def engine_with_step(request: pytest.FixtureRequest) -> Generator[tuple[subprocess.Popen[str], list[int]]]:
    child = engine("trap '' TERM; echo $$; sleep 60 & echo $!; wait; sleep 60", lease=request.param)
    pids = first_numbers(child, 2)
    yield child, pids
    child.kill()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


@pytest.mark.parametrize("engine_with_step", [60.0], indirect=True)
def test_kill_9_of_the_engine_ends_the_step_and_its_children(
    engine_with_step: tuple[subprocess.Popen[str], list[int]],
) -> None:
    child, pids = engine_with_step
    os.kill(child.pid, signal.SIGKILL)
    assert all(ends(pid, within=3) for pid in pids)


@pytest.mark.parametrize("engine_with_step", [60.0], indirect=True)
def test_signals_to_the_engines_whole_group_do_not_keep_the_warden_from_its_work(
    engine_with_step: tuple[subprocess.Popen[str], list[int]],
) -> None:
    child, pids = engine_with_step
    os.killpg(child.pid, signal.SIGTERM)
    os.killpg(child.pid, signal.SIGKILL)
    assert all(ends(pid, within=3) for pid in pids)


@pytest.mark.parametrize("engine_with_step", [0.5], indirect=True)
def test_a_stopped_engine_loses_its_steps_when_their_lease_is_over(
    engine_with_step: tuple[subprocess.Popen[str], list[int]],
) -> None:
    child, pids = engine_with_step
    os.kill(child.pid, signal.SIGSTOP)
    assert all(ends(pid, within=4) for pid in pids)


def test_kill_9_of_the_engine_before_the_registration_leaves_nothing(tmp_path: Path) -> None:
    with engine(f"touch {tmp_path}/started; sleep 60", how="dies") as child:
        (pgid,) = first_numbers(child, 1)
        assert child.wait(10) == -signal.SIGKILL
        assert ends(pgid, within=3)
    assert not (tmp_path / "started").exists()


def test_an_engine_that_was_stopped_before_the_registration_begins_nothing_after_the_lease(tmp_path: Path) -> None:
    for number in range(5):  # whether the program or the warden is quicker would be a matter of luck
        started = tmp_path / f"started-{number}"
        with engine(f"echo > {started}; sleep 60", how="stopped", lease=0.3) as child:
            (pgid,) = first_numbers(child, 1)
            threading.Event().wait(0.4)
            os.kill(child.pid, signal.SIGCONT)
            assert child.wait(10) == 1
            assert ends(pgid, within=3)
        assert not started.exists()


def test_a_deadline_that_is_told_too_late_gives_no_more_time(
    client: WardenClient, sleeper: subprocess.Popen[bytes]
) -> None:
    lease = soon(0.3)
    with client.guard(sleeper.pid, ONE, soon(60)):
        threading.Event().wait(0.35)  # stopped here, the engine says what it knew before
        client.extend([ONE], lease)
        assert ends(sleeper.pid, within=0.2)


def test_lease_holds_while_extended_and_no_longer(client: WardenClient, sleeper: subprocess.Popen[bytes]) -> None:
    with client.guard(sleeper.pid, ONE, soon(0.4)):
        for _ in range(8):
            client.extend([ONE, TWO], soon(0.4))
            assert not ends(sleeper.pid, within=0.1)
        assert ends(sleeper.pid, within=3)


def test_extending_another_execution_helps_nobody(client: WardenClient, sleeper: subprocess.Popen[bytes]) -> None:
    with client.guard(sleeper.pid, ONE, soon(0.3)):
        client.extend([TWO], soon(60))
        assert ends(sleeper.pid, within=3)


def test_a_step_that_has_ended_is_left_alone(client: WardenClient, sleeper: subprocess.Popen[bytes]) -> None:
    with client.guard(sleeper.pid, ONE, soon(0.2)):
        pass
    assert not ends(sleeper.pid, within=0.6)


def test_drop_kills_the_executions_groups_only(client: WardenClient, sleeper: subprocess.Popen[bytes]) -> None:
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        with client.guard(sleeper.pid, ONE, soon(60)), client.guard(other.pid, TWO, soon(60)):
            client.drop(ONE)
            assert ends(sleeper.pid, within=3)
            assert running(other.pid)
    finally:
        other.kill()
        other.wait()


def test_stop_ends_what_is_still_guarded_and_refuses_more(sleeper: subprocess.Popen[bytes]) -> None:
    client = WardenClient()
    client.start()
    with client.guard(sleeper.pid, ONE, soon(60)):
        client.stop()
        assert ends(sleeper.pid, within=3)
    with pytest.raises(Unavailable, match="stopping"), client.guard(sleeper.pid, ONE, soon(60)):
        pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_warden_is_replaced_and_its_successor_knows_what_runs(
    client: WardenClient, sleeper: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    with client.guard(sleeper.pid, ONE, soon(60)):
        first = client.pid
        assert first is not None
        os.kill(first, number)
        if number == signal.SIGKILL:
            assert ends(first, within=2)
        say_until_replaced(client, first)
        assert client.pid != first
        assert running(sleeper.pid)
        client.drop(ONE)
        assert ends(sleeper.pid, within=3)


def say_until_replaced(client: WardenClient, first: int) -> None:
    """A dead warden is noticed at the first word, a stopped one when its pipe is full."""
    for _ in range(10_000):
        client.extend([ONE], soon(60))
        if client.pid != first:
            return


def test_thousands_of_leases_are_extended_at_once(client: WardenClient, sleeper: subprocess.Popen[bytes]) -> None:
    with client.guard(sleeper.pid, ONE, soon(0.5)):
        client.extend([ExecutionId(number) for number in range(1, 5000)], soon(60))
        assert not ends(sleeper.pid, within=0.8)


def test_many_threads_may_guard_at_once(client: WardenClient) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                with client.guard(os.getpid() + 10_000_000 + number, ExecutionId(number), soon(60)):
                    client.extend([ExecutionId(number)], soon(60))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test reports it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert client.pid is not None


def test_a_number_that_belongs_to_another_process_by_now_is_not_killed(sleeper: subprocess.Popen[bytes]) -> None:
    watch = warden.Watch()
    watch.obey(f"add {sleeper.pid} 12345 1 0", now=0.0)
    watch.due(1.0)
    watch.due(2.0)
    assert not ends(sleeper.pid, within=0.2)
    watch.obey(f"add {sleeper.pid} {warden.born(sleeper.pid)} 1 0", now=2.0)
    watch.due(3.0)
    assert ends(sleeper.pid, within=2)


@pytest.mark.parametrize(
    "line", ["", "add", "add x y z w", "add 0 0 0 0", "add 1 0 0 0", "extend", "drop", "nonsense", "remove -1"]
)
def test_senseless_lines_are_passed_over(line: str) -> None:
    watch = warden.Watch()
    watch.obey(line, 0.0)
    assert watch.groups == {}


def test_the_warden_is_small_and_its_start_is_no_burden(client: WardenClient, sleeper: subprocess.Popen[bytes]) -> None:
    with client.guard(sleeper.pid, ONE, soon(0.0)):
        assert ends(sleeper.pid, within=3)
    status = Path(f"/proc/{client.pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) < 16_000
