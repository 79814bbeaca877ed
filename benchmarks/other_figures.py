"""Planning, memory, start-up."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.engine_figures import Figure, load, percentiles
from benchmarks.ground import ACTOR, memory_of, running, scratch, until
from engine.services import submissions

_RESOURCES = 50
_HANDSHAKE = (
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "bench", "version": "1"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
)


def planning(*, rounds: int = 40) -> Figure:
    """Parse, validate and plan a spec of 50 resources that refer to each other (a dry run)."""
    lines = [
        "apiVersion: score.dev/v1b1",
        "metadata: {name: large}",
        "containers: {main: {image: nothing}}",
        "resources:",
    ]
    for number in range(_RESOURCES):
        reference = f"${{resources.thing-{number - 1}.count}}" if number else "none"
        lines.append(f'  thing-{number}: {{type: bench-thing, params: {{note: "{reference}", size: {number}}}}}')
    source = "\n".join(lines) + "\n"
    taken: list[float] = []
    with running(threads=4) as platform:
        for _ in range(rounds):
            began = time.perf_counter()
            submissions.submit(platform.platform, ACTOR, source, dry_run=True)
            taken.append(time.perf_counter() - began)
    return Figure(f"parse + validate + plan, {_RESOURCES} resources", percentiles(taken), "p95 ≤ 50 ms", load())


@contextmanager
def serving() -> Generator[tuple[Path, int]]:
    """`innominatus serve` in a data directory of its own: that and its process number."""
    with scratch() as folder:
        server = _start(folder, "serve", "--port", "0", stdin=subprocess.DEVNULL)
        try:
            until((folder / "serve.json").exists)
            yield folder, server.pid
        finally:
            server.terminate()
            server.wait(20)


def memory() -> Figure:
    """Resident memory of `innominatus serve` ten seconds after its start, with the shipped providers."""
    with serving() as (_, pid):
        time.sleep(10)
        found = memory_of(pid)
    return Figure("memory of an idle server", f"{found:.0f} MB", "≤ 150 MB", load())


def mcp_start(*, rounds: int = 7) -> Figure:
    """From the start of `innominatus mcp` as the engine to the answer to `tools/list`; the fastest and the median.

    The processor time is what other work on the machine changes least.
    """
    taken, busy = (sorted(column) for column in zip(*(_mcp_once() for _ in range(rounds)), strict=True))
    found = f"{taken[0]:.2f} s best, {taken[rounds // 2]:.2f} s median, {busy[0]:.2f} s of processor"
    return Figure("`innominatus mcp` → tools/list", found, "≤ 1.0 s", load())


def _mcp_once() -> tuple[float, float]:
    with scratch() as folder:
        return mcp_start_in(folder)


def mcp_start_in(folder: Path) -> tuple[float, float]:
    """Seconds on the clock, and of the processor, until `innominatus mcp` has answered in a data directory."""
    began = time.perf_counter()
    server = _start(folder, "mcp", stdin=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        server.stdin.write("".join(json.dumps(message) + "\n" for message in _HANDSHAKE).encode())
        server.stdin.flush()
        for line in server.stdout:
            if json.loads(line).get("id") == 2:
                return time.perf_counter() - began, _processor_seconds(server.pid)
    finally:
        server.stdin.close()
        server.wait(20)
        server.stdout.close()
    raise RuntimeError("`innominatus mcp` ended without an answer")


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _start(folder: Path, *arguments: str, stdin: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli.server", *arguments],
        env={**os.environ, "INNOMINATUS_DATA_DIR": str(folder)},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
