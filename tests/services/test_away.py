"""The database is away: what every use case answers then. The use cases are found in the code, so that none is left out."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from engine import services
from engine.domain.event import BEGINNING
from engine.domain.resource import Resource
from engine.domain.values import ExecutionId, JsonObject, ResourceId
from engine.errors import InnominatusError, Unavailable
from engine.services import executions, previews, retention
from engine.services.following import ExecutionFollower
from engine.services.platform import Platform
from engine.services.requests import PlatformRequests
from engine.services.resources import ResourceDetails
from engine.steps.base import ChildExecution, RequestedResource, SubmittedSpec
from tests.services.conftest import ME, Build, House
from tests.support.outages import ADDRESS, away
from tests.support.score import score

GIVEN: dict[str, object] = {
    "actor": ME,
    "name": "app",
    "resource_id": ResourceId(1),
    "execution_id": ExecutionId(1),
    "workflow": "hello",
    "inputs": {"name": "you"},
    "source": score(db="database"),
    "step": "gate",
    "seconds": 0.0,
    "form": "json",
    "text": "7",
    "after": BEGINNING,
    "as_": "active",
    "ids": [1],
    "made_by": {},
    "files": {},
    "details": ResourceDetails(
        cast("Resource", SimpleNamespace(id=1, application="a", key=SimpleNamespace(environment="e")))
    ),
}
"""What a use case is given, by the name of its parameter."""
OPTIONS: dict[str, object] = {
    "files": {},
    "dry_run": True,
    "idempotency_key": "key",
    "application": "app",
    "every_attempt": True,
}
ASKS_NOTHING = {
    "catalog.golden_path", "catalog.golden_paths", "catalog.provider", "catalog.providers",
    "catalog.resource_type", "checking.check", "checking.check_provider", "duties.of_platform", "executions.workflow_named", "previews.of_execution",
    "submissions.read_spec", "timeline.wanted_of",
}  # fmt: skip
"""Use cases that need no database for what is given here."""
PARTS = {
    "claiming.left_lying", "executions.resource_wanted", "executions.type_made_by", "idempotency.once", "masking.all_shown", "masking.shown",
    "masking.spec_text",
    "planning.current_state", "planning.plan_for", "provisioner_requests.ask_for_deletion",
    "provisioner_requests.ask_for_resource", "provisioner_requests.plan_of_request", "deletions.carry_out_deletion",
    "submissions.carried_out", "starting.begun",
}  # fmt: skip
"""Parts of use cases: they are given a transaction, a plan or the work."""


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(services.__path__, f"{services.__name__}."):
        yield importlib.import_module(found.name)


def use_cases() -> dict[str, Callable[..., object]]:
    """Every public function of the services that is given the platform."""
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": function
        for module in modules()
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and "platform" in inspect.signature(function).parameters
    }


def calls(function: Callable[..., object], platform: Platform) -> Iterator[Callable[[], object]]:
    """With what must be given, and with each of the options that may be."""
    given: dict[str, object] = {"platform": platform}
    options: list[dict[str, object]] = [{}]
    for name, parameter in inspect.signature(function).parameters.items():
        if name != "platform" and parameter.default is inspect.Parameter.empty:
            given[name] = GIVEN[name]
        elif name in OPTIONS:
            options.append({name: OPTIONS[name]})
    for option in options:
        yield partial(function, **given, **option)


def told(call: Callable[[], object]) -> str:
    """The code of the Unavailable that a call answers with, if that has a hint and names no address; else what it does."""
    try:
        call()
    except Unavailable as error:
        words = f"{error.message} {error.hint} {error.details}"
        return error.code if error.hint and ADDRESS not in words else words
    except InnominatusError as error:
        return repr(error)
    return "answered"


@pytest.fixture
def idle(build: Build) -> House:
    """A house whose engine does not ask the database anything in between."""
    return build(engine=False)


def test_every_use_case_says_that_the_database_is_away(idle: House) -> None:
    cases = use_cases()
    assert len(cases) > 40
    wanted = {name: {"database_unavailable"} for name in cases.keys() - ASKS_NOTHING - PARTS}
    with away(idle.platform.store):
        found = {name: {told(call) for call in calls(cases[name], idle.platform)} for name in wanted}
    assert found == wanted


def test_a_request_by_the_name_of_a_provisioner_does_so_too(idle: House) -> None:
    given: JsonObject = {"app_name": "app"}
    with away(idle.platform.store):
        assert told(lambda: executions.execute(idle.platform, ME, "make", given)) == "database_unavailable"
        assert told(lambda: previews.of_execution(idle.platform, "make", given)) == "database_unavailable"


def test_what_needs_no_database_answers_without_it(idle: House) -> None:
    cases = use_cases()
    assert cases.keys() >= ASKS_NOTHING | PARTS, "these are no use cases any more"
    with away(idle.platform.store) as tried:
        found = {name: told(next(calls(cases[name], idle.platform))) for name in ASKS_NOTHING}
    assert "database_unavailable" not in found.values()
    assert tried == []


def test_what_running_workflows_ask_says_so_too(idle: House) -> None:
    run = executions.execute(idle.platform, ME, "hello", {"name": "you"})
    assert run is not None
    execution, requests = executions.get(idle.platform, run).execution, PlatformRequests(idle.platform)
    child, spec = ChildExecution("hello", {"name": "you"}), SubmittedSpec(score(db="database"))
    wanted = RequestedResource("database", "db", {}, application="app")
    asked: list[Callable[[], object]] = [
        lambda: requests.start_child(execution, "step", child, again=False),
        lambda: requests.request_resource(execution, wanted),
        lambda: requests.submit_spec(execution, "step", spec),
        ExecutionFollower(idle.platform, run).look,
        lambda: retention.prune(idle.platform.store, older_than=0, batch=10),
        lambda: retention.prune(idle.platform.store, older_than=0, batch=10, trial=True),
    ]
    with away(idle.platform.store):
        assert [told(ask) for ask in asked] == ["database_unavailable"] * len(asked)
