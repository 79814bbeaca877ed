"""Runs the benchmarks and prints one table: `python -m benchmarks [--only part,part] [--peers FOLDER]`."""

import argparse
import logging
import os
from collections.abc import Callable
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from benchmarks import engine_figures as engine
from benchmarks import event_figures as event
from benchmarks import mcp_figures as mcp
from benchmarks import noop, peers
from benchmarks import other_figures as other
from benchmarks import resource_figures as resource
from benchmarks import scale_figures as scale
from benchmarks.engine_figures import Figure
from benchmarks.ground import Ground, ground

Measure = Callable[[Ground], Figure]
PG, LITE = "PostgreSQL", "SQLite"
MEASURES: dict[str, Measure] = {
    "throughput": lambda on: engine.throughput(on, database=PG, workflow="five-noops", goal="≥ 1,000/s, ≤ 2 ms"),
    "throughput-sqlite": lambda on: engine.throughput(on, database=LITE, workflow="five-noops", goal="≥ 500/s"),
    "throughput-set": lambda on: engine.throughput(on, database=PG, workflow="five-steps", goal="≥ 1,000/s, ≤ 2 ms"),
    "throughput-set-sqlite": lambda on: engine.throughput(on, database=LITE, workflow="five-steps", goal="≥ 500/s"),
    "apart-1": lambda on: engine.throughput_apart(on, workers=1, goal="≥ 700/s"),
    "apart-2": lambda on: engine.throughput_apart(on, workers=2, goal=""),
    "latency": lambda on: engine.latency(on, database=PG, workflow="five-noops", goal="≤ 10 / 15 ms"),
    "latency-sqlite": lambda on: engine.latency(on, database=LITE, workflow="five-noops", goal=""),
    "latency-set": lambda on: engine.latency(on, database=PG, workflow="five-steps", goal="≤ 10 / 15 ms"),
    "latency-apart": lambda on: engine.latency_apart(on, goal="≤ 30 / 50 ms"),
    "submit": lambda on: resource.submissions(on, database=PG, goal="p50 ≤ 25 ms"),
    "submit-sqlite": lambda on: resource.submissions(on, database=LITE, goal="p50 ≤ 25 ms"),
    "sustained": lambda on: resource.sustained(on, goal="≥ 200/s"),
    "ten-thousand": lambda on: resource.ten_thousand(on, goal="each once; < 2 s"),
    "waiting": lambda on: scale.waiting_and_running(on, goal="all at once, ≤ 400 MB"),
    "history": lambda on: scale.long_history(on, goal="within 20 %"),
    "reads": lambda on: scale.list_reads(on, goal="≥ 800/s"),
    "events": lambda on: event.event_latency(on, goal="p95 ≤ 250 ms"),
    "listeners": lambda on: event.idle_listeners(on, goal="< 100 MB"),
    "planning": lambda _: other.planning(),
    "memory": lambda _: other.memory(),
    "mcp-start": lambda _: other.mcp_start(),
    "mcp-forward": lambda _: mcp.forwarder_start(goal="≤ 0.8 s"),
    "mcp-read": lambda on: mcp.read(on, goal="p50 ≤ 5 ms, p99 ≤ 50 ms"),
    "mcp-reads": lambda on: mcp.reads(on, goal="≥ 400/s"),
}


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("--only", default="", help=f"some of: {', '.join(MEASURES)}")
    asked.add_argument("--peers", type=Path, help="a folder with other engines' benchmarks, run on the same servers")
    asked.add_argument("--peer", default="pgqueuer,procrastinate", help="which of them")
    given = asked.parse_args()
    noop.register()
    wanted = [name for name in given.only.split(",") if name] or list(MEASURES)
    figures: list[Figure] = []
    with ground(ports=peers.PORTS if given.peers else None) as on:
        if given.peers:
            figures += peers.measured(on, given.peers, given.peer.split(","))
        for name in wanted:
            figures.append(MEASURES[name](on))
            Console(stderr=True).print(f"[dim]{figures[-1].name}: {figures[-1].value}", highlight=False)
    _print(figures)


def _print(figures: list[Figure]) -> None:
    table = Table(title=f"{os.cpu_count()} cores; PostgreSQL with its ordinary durability on the same machine")
    for heading in ("figure", "measured", "goal", "load"):
        table.add_column(heading)
    for figure in figures:
        table.add_row(figure.name, figure.value, figure.goal, figure.load)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
