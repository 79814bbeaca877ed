"""Specs and resources: one at a time, many in a row, ten thousand at once."""

import threading
import time

from benchmarks.engine_figures import Figure, load, percentiles
from benchmarks.ground import ACTOR, Apart, Ground, apart, running, until
from cli.compose import Running
from engine.services import applications, executions
from engine.services.submissions import submit
from engine.store import resources

_ONE = """\
apiVersion: score.dev/v1b1
metadata: {name: bench-%d}
containers: {main: {image: nothing}}
resources: {thing: {type: bench-thing}}
"""
_WARM_UP = 20


def submissions(ground: Ground, *, database: str, goal: str, rounds: int = 150) -> Figure:
    """One resource, five `set` steps, an idle platform: from the call until the resource is seen active."""
    url = ground.database() if database == "PostgreSQL" else ""
    with running(url=url, threads=16) as platform:
        taken = [_submit(platform, number) for number in range(rounds + _WARM_UP)]
    return Figure(f"spec of 1 resource, submit → active, idle, {database}", percentiles(taken[_WARM_UP:]), goal, load())


def _submit(platform: Running, number: int) -> float:
    began = time.perf_counter()
    made = submit(platform.platform, ACTOR, _ONE % number)
    for execution_id in made.execution_ids:
        executions.wait(platform.platform, execution_id, seconds=30)
    (found,) = applications.get(platform.platform, made.application).resources
    if found.state != "active":
        raise RuntimeError(f"it is {found.state}")
    return time.perf_counter() - began


def sustained(ground: Ground, *, goal: str, specs: int = 40, each: int = 25) -> Figure:
    """Specs of 25 resources, one after the other as fast as they are taken, until all resources are active."""
    with running(url=ground.database(), threads=64) as platform:
        submit(platform.platform, ACTOR, _many("warm-up", each))
        until(lambda: _active(platform) == each)
        began = time.perf_counter()
        for number in range(specs):
            submit(platform.platform, ACTOR, _many(f"many-{number}", each))
        until(lambda: _active(platform) == each * (specs + 1), seconds=120)
        taken = time.perf_counter() - began
    value = f"{specs * each / taken:.0f} resources/s"
    return Figure(f"{specs} specs of {each} resources in a row, PostgreSQL", value, goal, load())


def _active(platform: Running) -> int:
    with platform.platform.store.read() as tx:
        return sum(number for (_, state), number in resources.counts(tx).items() if state == "active")


def ten_thousand(ground: Ground, *, goal: str, specs: int = 10, each: int = 1000) -> Figure:
    """Ten specs of 1,000 resources at once, two workers; meanwhile somebody else submits one resource."""
    with apart(ground, url=ground.database(), threads=64, processes=2) as house:
        began = time.perf_counter()
        threads = [threading.Thread(target=_post, args=(house, _many(f"big-{n}", each))) for n in range(specs)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        asked = time.perf_counter()
        _post(house, _ONE % 1)
        until(lambda: _started(house, "bench-1"), seconds=60, pause=0.01)
        modest = time.perf_counter() - asked
        for thread in threads:
            thread.join()
        until(lambda: all(_done(house, f"big-{n}") for n in range(specs)), seconds=300, pause=0.5)
        taken = time.perf_counter() - began
        attempts = house.call("/api/workflows?limit=1")["items"][0]["id"]
    value = f"{specs * each / taken:.0f} resources/s, {attempts} executions; the single one began after {modest:.1f} s"
    return Figure(f"{specs * each:,} resources at once, API and 2 workers, Redis", value, goal, load())


def _post(house: Apart, source: str) -> None:
    house.call("/api/specs", source.encode(), kind="application/yaml")


def _started(house: Apart, name: str) -> bool:
    found = house.call(f"/api/resources?app={name}")["items"]
    return bool(found) and found[0]["state"] in {"active", "provisioning"}


def _done(house: Apart, name: str) -> bool:
    return house.call(f"/api/applications/{name}")["status"] == "active"


def _many(name: str, count: int) -> str:
    lines = [
        "apiVersion: score.dev/v1b1",
        f"metadata: {{name: {name}}}",
        "containers: {main: {image: nothing}}",
        "resources:",
        *(f"  thing-{number}: {{type: bench-thing}}" for number in range(count)),
    ]
    return "\n".join(lines) + "\n"
