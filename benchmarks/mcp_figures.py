"""The MCP door: reading over HTTP, by one client and by many, and how soon a forwarder answers."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx2

from benchmarks.engine_figures import Figure, load
from benchmarks.ground import TOKEN, Apart, Ground, apart
from benchmarks.other_figures import mcp_start_in, serving

_VERSION: Final = "2026-07-28"
_BODY: Final = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "list_workflow_executions",
            "arguments": {},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": _VERSION,
                "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }
)
_HEADERS: Final = {
    "Authorization": f"Bearer {TOKEN}",
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": _VERSION,
    "Mcp-Method": "tools/call",
    "Mcp-Name": "list_workflow_executions",
}


def read(ground: Ground, *, goal: str, rounds: int = 500) -> Figure:
    """A read tool, a list of 20 rows, called one after the other on one connection."""
    taken: list[float] = []
    with apart(ground, url=ground.database(), threads=4, processes=1) as house:
        _fill(house)
        with httpx2.Client(base_url=house.url, headers=_HEADERS, timeout=30) as client:
            for _ in range(rounds + 50):
                began = time.perf_counter()
                answer = client.post("/mcp", content=_BODY)
                taken.append(time.perf_counter() - began)
                assert "five-steps" in answer.text, answer.text[:300]
    calm = sorted(taken[50:])
    found = f"p50 {calm[len(calm) // 2] * 1000:.1f} ms, p99 {calm[len(calm) * 99 // 100] * 1000:.1f} ms"
    return Figure("MCP read tool over HTTP, one client", found, goal, load())


def reads(ground: Ground, *, goal: str, clients: int = 16, seconds: int = 6) -> Figure:
    """The same by many clients at once, with `wrk`: clients in Python would cost more than the server."""
    name = f"MCP read tool over HTTP, {clients} clients"
    wrk = shutil.which("wrk")
    if wrk is None:
        return Figure(name, "not measured: `wrk` is missing (Debian: apt install wrk)", goal, load())
    said = "".join(f"wrk.headers[{json.dumps(key)}] = {json.dumps(value)}\n" for key, value in _HEADERS.items())
    with tempfile.TemporaryDirectory() as folder, apart(ground, url=ground.database(), threads=4, processes=1) as house:
        _fill(house)
        script = Path(folder) / "call.lua"
        script.write_text(f'wrk.method = "POST"\nwrk.body = {json.dumps(_BODY)}\n{said}')
        words = ["-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(script), f"{house.url}/mcp"]
        done = subprocess.run([wrk, *words], capture_output=True, text=True, check=True)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)
    assert rate is not None
    assert "Non-2xx" not in done.stdout, done.stdout
    return Figure(name, f"{float(rate[1]):.0f}/s", goal, load())


def forwarder_start(*, goal: str, rounds: int = 7) -> Figure:
    """From the start of `innominatus mcp`, with a server on the same data directory, to the answer to `tools/list`."""
    with serving() as (folder, _):
        taken, busy = (sorted(column) for column in zip(*(mcp_start_in(folder) for _ in range(rounds)), strict=True))
    found = f"{taken[0]:.2f} s best, {taken[rounds // 2]:.2f} s median, {busy[0]:.2f} s of processor"
    return Figure("`innominatus mcp` → tools/list, forwarding", found, goal, load())


def _fill(house: Apart) -> None:
    for _ in range(20):
        house.call("/api/workflows/execute", {"workflow": "five-steps", "inputs": {}})
    time.sleep(2)
