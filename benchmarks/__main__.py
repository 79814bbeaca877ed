"""Runs every benchmark and prints one table."""

import logging
import os

import structlog
from rich.console import Console
from rich.table import Table

from benchmarks.engine_figures import Figure, submissions, throughput
from benchmarks.other_figures import mcp_start, memory, planning


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    figures: list[Figure] = [
        submissions(database="sqlite"),
        submissions(database="postgresql"),
        throughput(database="sqlite"),
        throughput(database="postgresql"),
        planning(),
        memory(),
        mcp_start(),
    ]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    table = Table(title=f"{os.cpu_count()} cores, load {load}, embedded unless said otherwise")
    for heading in ("figure", "measured", "goal"):
        table.add_column(heading)
    for figure in figures:
        table.add_row(figure.name, figure.value, figure.goal)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
