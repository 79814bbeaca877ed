"""What the collector of cycles is told in a process that serves."""

import subprocess
import sys

_ASKED = """
import gc
from cli import garbage
import api.app
gc.disable()
made = [[number] for number in range(1000)]
garbage.settle()
cycle = []
cycle.append(cycle)
del cycle
print(gc.get_freeze_count() > 100_000, gc.isenabled(), gc.get_threshold()[0] > 700, gc.collect() >= 1)
"""


def test_a_process_that_serves_looks_for_cycles_among_what_came_later() -> None:
    done = subprocess.run([sys.executable, "-c", _ASKED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 4
