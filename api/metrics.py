"""Prometheus metrics. Requests are counted here; everything else is read from the database when it is asked for."""

import time
from collections.abc import Iterable, Mapping

import structlog
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as RequestCounter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.services import overview
from engine.services.platform import Platform
from engine.store.away import in_short

logger = structlog.get_logger()

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FINAL = ("succeeded", "failed", "cancelled")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 45)


class Metrics:
    """One registry per app, so that two apps in one process do not count each other's requests."""

    def __init__(self, platform: Platform) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        labels = ("method", "route")
        self._requests = RequestCounter(
            "innominatus_http_requests", "Requests by route.", (*labels, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "innominatus_http_request_duration_seconds",
            "Time to the end of the answer.",
            labels,
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(PlatformCollector(platform))

    def count(self, *, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class Counting:
    """ASGI middleware around everything else, so that refused requests count too. Routes are told by their template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        begun = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = scope.get("route")
            template = route.path if isinstance(route, Route) else "none"
            elapsed = time.perf_counter() - begun
            self._metrics.count(method=scope["method"], route=template, status=status, seconds=elapsed)


class PlatformCollector(Collector):
    """Reads the database, which all processes share: several API servers report the same numbers, not parts of them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()  # registering must not ask the database

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        up = GaugeMetricFamily("innominatus_database_up", "1 while the database answers.")
        try:
            found = overview.of_platform(self._platform)
        except Exception as error:  # noqa: BLE001 - metrics of requests must be readable while the database is away
            logger.warning("metrics.database", error=in_short(error))
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from _counters(found.totals)
        yield from _gauges(found)


def _counters(totals: Mapping[str, int]) -> Iterable[CounterMetricFamily]:
    ended = CounterMetricFamily(
        "innominatus_executions_finished", "Runs of executions that ended, by how.", labels=["state"]
    )
    for state in _FINAL:
        ended.add_metric([state], totals.get(f"execution.{state}", 0))
    yield ended
    submissions = CounterMetricFamily("innominatus_submissions", "Score specs that were applied.")
    submissions.add_metric([], totals.get("spec.submitted", 0))
    yield submissions


def _gauges(found: overview.Overview) -> Iterable[GaugeMetricFamily]:
    states = GaugeMetricFamily("innominatus_executions", "Executions that have not ended, by state.", labels=["state"])
    for state, count in sorted(found.executions.items()):
        states.add_metric([state], count)
    yield states
    queue = GaugeMetricFamily("innominatus_queue_depth", "Executions that wait for a free thread.")
    queue.add_metric([], found.executions.get("pending", 0))
    yield queue
    resources = GaugeMetricFamily(
        "innominatus_resources", "Resources that stand, by type and state.", labels=["type", "state"]
    )
    for (kind, state), count in sorted(found.resources.items()):
        resources.add_metric([kind, state], count)
    yield resources
    applications = GaugeMetricFamily("innominatus_applications", "Applications that are not deleted.")
    applications.add_metric([], found.applications)
    yield applications
