import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.steps import process
from engine.steps.base import ProcessResult, StepCancelled, StepFailed, StepTimeout

PATH = os.environ["PATH"]


class Token:
    def __init__(self) -> None:
        self.event = threading.Event()

    @property
    def cancelled(self) -> bool:
        return self.event.is_set()

    def wait(self, seconds: float) -> bool:
        return self.event.wait(seconds)


@dataclass
class Run:
    folder: Path
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    groups: list[int] = field(default_factory=list[int])
    released: list[int] = field(default_factory=list[int])
    cancel: Token = field(default_factory=Token)
    cancel_on: str | None = None

    @contextlib.contextmanager
    def register(self, pgid: int) -> Generator[None]:
        self.groups.append(pgid)
        try:
            yield
        finally:
            self.released.append(pgid)

    def on_line(self, stream: str, line: str) -> None:
        self.lines.append((stream, line))
        if line == self.cancel_on:
            self.cancel.event.set()

    def sh(
        self, script: str, *, seconds: float = 20, env: dict[str, str] | None = None, stdin: str | None = None
    ) -> ProcessResult:
        return self.argv("sh", "-c", script, seconds=seconds, env=env, stdin=stdin)

    def argv(
        self, *argv: str, seconds: float = 20, env: dict[str, str] | None = None, stdin: str | None = None
    ) -> ProcessResult:
        return process.run(
            argv,
            env={"PATH": PATH} if env is None else env,
            cwd=self.folder,
            deadline=time.monotonic() + seconds,
            cancel=self.cancel,
            on_line=self.on_line,
            register=self.register,
            stdin=stdin,
            grace=0.3,
        )

    def said(self, stream: str = "stdout") -> list[str]:
        return [line for name, line in self.lines if name == stream]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def gone(pid: int) -> bool:
    """True once no process of the group is alive (zombies of another parent do not count)."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        threading.Event().wait(0.01)
    return False


def test_lines_of_both_streams_and_the_exit_code_arrive(run: Run) -> None:
    result = run.sh("echo out; echo err >&2; printf last; exit 3")
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\nlast", "err\n")
    assert run.said() == ["out", "last"]
    assert run.said("stderr") == ["err"]
    assert run.groups == run.released


def test_environment_is_exactly_what_is_passed(run: Run) -> None:
    os.environ["INNOMINATUS_TEST_LEAK"] = "1"
    env = {"A": "1 'x' $HOME\nsecond", "PATH": PATH}
    result = run.argv(sys.executable, "-I", "-S", "-c", "import os; print(sorted(os.environ.items()))", env=env)
    got = dict(eval(result.stdout))  # the child printed a literal
    got.pop("LC_CTYPE", None)  # Python itself sets it in a locale-less environment
    got.pop("_", None)  # a bash as sh sets it
    assert got == env


def test_stdin_is_given_and_is_empty_without(run: Run) -> None:
    assert run.argv("cat", stdin="a\nb" * 200_000).stdout.startswith("a\nba\nb")
    assert run.argv("cat").stdout == ""


def test_stdin_nobody_reads_is_no_failure(run: Run) -> None:
    assert run.sh("exec <&-; exit 0", stdin="x" * 1_000_000).exit_code == 0


def test_no_descriptor_of_the_engine_is_inherited(run: Run) -> None:
    with (run.folder / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        listing = "import os; print(sorted(int(fd) for fd in os.listdir('/dev/fd')))"
        result = run.argv(sys.executable, "-I", "-S", "-c", listing)
    assert len(eval(result.stdout)) <= 4  # 0, 1, 2 and the listing's own


def test_arguments_are_never_read_by_a_shell(run: Run) -> None:
    nasty = ["$(touch pwned)", "`id`", "a b", "'", '"', "\n", "-n", "*"]
    result = run.argv(sys.executable, "-c", "import sys; print(sys.argv[1:])", *nasty)
    assert eval(result.stdout) == nasty
    assert list(run.folder.iterdir()) == []


def test_a_missing_program_says_what_to_install(run: Run) -> None:
    with pytest.raises(StepFailed, match="`no-such-tool` is not installed here"):
        run.argv("no-such-tool")
    with pytest.raises(StepFailed, match="There is no program"):
        run.argv("./no-such-tool")
    (run.folder / "plain").write_text("echo no")
    with pytest.raises(StepFailed, match="not executable"):
        run.argv("./plain")


@pytest.mark.parametrize("argv", [["echo", "a\0b"], ["echo", "x" * 5_000_000]])
def test_impossible_arguments_fail_the_step(run: Run, argv: list[str]) -> None:
    with pytest.raises(StepFailed, match="cannot be started"):
        run.argv(*argv)


def test_impossible_environment_fails_the_step(run: Run) -> None:
    with pytest.raises(StepFailed, match="cannot be started"):
        run.sh("true", env={"PATH": PATH, "A": "x\0y"})
    with pytest.raises(StepFailed, match="cannot be the name"):
        run.sh("true", env={"PATH": PATH, "a.b": "x"})


def test_a_vanished_working_directory_fails_the_step(run: Run) -> None:
    run.folder = run.folder / "gone"
    with pytest.raises(StepFailed, match="cannot be started"):
        run.sh("true")


def test_deadline_ends_a_program_that_ignores_sigterm_with_its_children(run: Run) -> None:
    started = time.monotonic()
    with pytest.raises(StepTimeout):
        run.sh("trap '' TERM; sleep 60 & echo $!; wait; sleep 60", seconds=0.5)
    assert time.monotonic() - started < 3
    assert gone(int(run.said()[0]))


def test_a_program_may_tidy_up_when_its_time_is_over(run: Run) -> None:
    with pytest.raises(StepTimeout):
        run.sh("trap 'echo tidied > note; exit 0' TERM; while :; do sleep 0.05; done", seconds=0.4)
    assert (run.folder / "note").read_text() == "tidied\n"


def test_cancel_ends_the_group(run: Run) -> None:
    run.cancel_on = "ready"
    with pytest.raises(StepCancelled):
        run.sh("sleep 60 & echo $!; echo ready; wait")
    assert gone(int(run.said()[0]))
    assert run.released == run.groups


def test_cancel_ends_a_stopped_program(run: Run) -> None:
    run.cancel_on = "ready"
    with pytest.raises(StepCancelled):
        run.sh("echo ready; kill -STOP $$; sleep 60")
    assert gone(run.groups[0])


def test_a_background_child_holding_the_pipe_does_not_hang_the_step_and_is_ended(run: Run) -> None:
    started = time.monotonic()
    assert run.sh("sleep 60 & echo $!").exit_code == 0
    assert time.monotonic() - started < 3
    assert gone(int(run.said()[0]))


def test_a_background_child_that_let_go_of_the_pipe_is_ended_too(run: Run) -> None:
    run.sh("sleep 60 >/dev/null 2>&1 & echo $!")
    assert gone(int(run.said()[0]))


def test_a_daemon_in_its_own_session_lives_on_and_does_not_hang_the_step(run: Run) -> None:
    started = time.monotonic()
    daemon = "import os,time\nif os.fork()==0:\n os.setsid(); print(os.getpid(), flush=True); time.sleep(60)\nelse: time.sleep(0.3)"
    run.argv(sys.executable, "-S", "-c", daemon)
    pid = int(run.said()[0])
    try:
        assert time.monotonic() - started < 5
        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_program_that_closes_its_output_is_waited_for(run: Run) -> None:
    run.sh("exec >&- 2>&-; sleep 0.2; touch done")
    assert (run.folder / "done").exists()


def test_a_flood_is_survived_quickly_and_keeps_head_and_tail(run: Run) -> None:
    started = time.monotonic()
    result = run.sh(
        "echo first; yes 'a line of the flood' | head -c 100000000; echo; echo ::set-output name=a::b; echo last"
    )
    assert time.monotonic() - started < 8
    assert result.exit_code == 0
    assert result.stdout_cut
    assert len(result.stdout) < 1_100_000
    assert result.stdout.startswith("first\n")
    assert result.stdout.endswith("last\n")
    said = run.said()
    assert said[0] == "first"
    assert said[-1] == "last"
    assert len(said) < 400_000
    assert said.count("::set-output name=a::b") == 1
    assert any("lines left out" in line for line in said)


def test_one_endless_line_is_cut(run: Run) -> None:
    result = run.sh("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end")
    assert result.stdout.endswith("end\n")
    assert len(run.said()[0]) < 20_000
    assert run.said()[0].endswith("[line cut at 16384 bytes]")
    assert run.said()[1] == "end"


def test_hostile_bytes_cannot_act_on_the_reader_of_the_log(run: Run) -> None:
    run.sh(r"printf 'a\000b\033[31mred\033]0;title\007 \377\376 tab\there\r\n'")
    assert run.said() == ["abred \ufffd\ufffd tab\there"]


def test_exit_code_of_a_signal_is_128_plus_its_number(run: Run) -> None:
    assert run.sh("kill -9 $$").exit_code == 137


def test_a_failing_line_handler_ends_the_program(run: Run) -> None:
    def refuse(stream: str, line: str) -> None:
        raise StepFailed(f"refused {stream} {line}")

    run.on_line = refuse  # pyright: ignore[reportAttributeAccessIssue] - the instance stands in for its method
    with pytest.raises(StepFailed, match="refused stdout x"):
        run.sh("echo x; sleep 60")
    assert gone(run.groups[0])


def test_nothing_starts_when_it_cannot_be_registered(run: Run) -> None:
    @contextlib.contextmanager
    def refuse(pgid: int) -> Generator[None]:
        run.groups.append(pgid)
        raise StepFailed("no warden")
        yield

    run.register = refuse  # pyright: ignore[reportAttributeAccessIssue] - the instance stands in for its method
    with pytest.raises(StepFailed, match="no warden"):
        run.sh("touch started")
    assert gone(run.groups[0])
    assert not (run.folder / "started").exists()


def test_nothing_starts_after_the_deadline_or_a_cancel(run: Run) -> None:
    with pytest.raises(StepTimeout):
        run.sh("touch started", seconds=-1)
    run.cancel.event.set()
    with pytest.raises(StepCancelled):
        run.sh("touch started")
    assert run.groups == []


def test_many_short_lived_programs_leave_no_descriptor_and_no_zombie(run: Run) -> None:
    def descriptors() -> int:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - names are all it takes

    run.sh("true")
    before = descriptors()
    for _ in range(50):
        run.sh("sleep 5 >/dev/null 2>&1 & true")
    assert descriptors() == before
    assert [pid for pid in run.groups if Path(f"/proc/{pid}").exists()] == []
