"""The warden: a small process beside each engine that kills the process groups of steps whose engine died or stalled.

Runs alone as `python -I -S warden.py`: standard library only, nothing of ours, so that it starts fast and stays small.
It reads lines from its standard input:

    add <pgid> <born> <execution> <deadline>    watch a group; `born` tells its leader from a later process
    extend <deadline> <execution> ...           these executions may go on until then
    remove <pgid>                               the step has ended
    drop <execution>                            kill the execution's groups now

The end of its input means that the engine is gone: it kills every group and leaves. A deadline is a moment of the
machine's monotonic clock, which all its processes share: a line that an engine, stopped meanwhile, says too late
gives nobody more time.
"""

import os
import selectors
import signal
import sys
import time

GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL."""


class Group:
    __slots__ = ("born", "deadline", "execution", "pgid")

    def __init__(self, pgid: int, born: str, execution: str, deadline: float) -> None:
        self.pgid = pgid
        self.born = born
        self.execution = execution
        self.deadline = deadline


class Watch:
    """The groups under watch, and those already told to end."""

    def __init__(self) -> None:
        self.groups: dict[int, Group] = {}
        self.ending: list[tuple[float, Group]] = []

    def obey(self, line: str, now: float) -> None:
        """Carry out one line. A line that makes no sense is passed over: the others still count."""
        word, *rest = line.split() or [""]
        try:
            if word == "add":
                pgid, born, execution, deadline = rest
                if int(pgid) > 1:
                    self.groups[int(pgid)] = Group(int(pgid), born, execution, float(deadline))
            elif word == "remove":
                self.groups.pop(int(rest[0]), None)
            elif word == "extend":
                self._extend(set(rest[1:]), float(rest[0]))
            elif word == "drop":
                self._end([group for group in self.groups.values() if group.execution == rest[0]], now)
        except (ValueError, IndexError):
            return

    def _extend(self, executions: set[str], deadline: float) -> None:
        for group in self.groups.values():
            if group.execution in executions:
                group.deadline = deadline

    def _end(self, groups: list[Group], now: float) -> None:
        for group in groups:
            self.groups.pop(group.pgid, None)
            if send(group, signal.SIGTERM):
                send(group, signal.SIGCONT)
                self.ending.append((now + GRACE, group))

    def due(self, now: float) -> None:
        """Kill what is over."""
        self._end([group for group in self.groups.values() if group.deadline <= now], now)
        for _, group in [one for one in self.ending if one[0] <= now]:
            send(group, signal.SIGKILL)
        self.ending = [one for one in self.ending if one[0] > now]

    def next_due(self, now: float) -> float | None:
        """Seconds until something is over; None when nothing is watched."""
        times = [group.deadline for group in self.groups.values()] + [when for when, _ in self.ending]
        return max(0.0, min(times) - now) if times else None

    def end_all(self) -> None:
        """The engine is gone: end everything, waiting out the grace."""
        now = time.monotonic()
        self._end(list(self.groups.values()), now)
        while (pause := self.next_due(time.monotonic())) is not None:
            time.sleep(min(pause, 0.05))
            self.ending = [(when, group) for when, group in self.ending if alive(group.pgid)]
            self.due(time.monotonic())


def born(pid: int) -> str:
    """When a process began, in the system's own words (one word); empty when there is no such process."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs the warden 2 MB
                return file.read().rpartition(b")")[2].split()[19].decode()
        except (OSError, IndexError):
            return ""
    import subprocess  # noqa: PLC0415 - only where there is no /proc: it costs memory

    command = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a number is all that varies
    return "_".join(told.stdout.split())


def alive(pgid: int) -> bool:
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def send(group: Group, number: int) -> bool:
    """Signal a group, unless its number belongs to another process by now. False when there is nothing to signal.

    A leader that is gone is no obstacle: its number stays taken as long as its group has members.
    """
    if born(group.pgid) not in ("", group.born):
        return False
    try:
        os.killpg(group.pgid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the end of its input ends it
    watch = Watch()
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    pending = b""
    while True:
        if selector.select(watch.next_due(time.monotonic())):
            chunk = os.read(0, 65536)
            if not chunk:
                break
            *lines, pending = (pending + chunk).split(b"\n")
            now = time.monotonic()
            for line in lines:
                watch.obey(line.decode("ascii", "replace"), now)
        watch.due(time.monotonic())
    watch.end_all()


if __name__ == "__main__":
    main()
