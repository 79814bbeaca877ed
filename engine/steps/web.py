"""One HTTP request of a step: bounded in time and size, with the engine's environment left out of it."""

import queue
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

import httpx2
from pydantic import AfterValidator, Field

from engine.steps.base import RetryLater, StepCancelled, StepContext, StepFailed, StepTimeout
from engine.steps.fields import Text, refused

MAX_BYTES: Final = 10_000_000
_REDIRECTS: Final = 5
_POLL: Final = 0.05


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as error:
        raise refused(f"not a web address: {error}", "write e.g. `https://api.example.com/v1`") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise refused("not a web address", "write e.g. `https://api.example.com/v1`")
    if parts.username or parts.password:
        raise refused("credentials do not belong in a URL, which is logged", "send them as an `Authorization` header")
    return value


WebAddress = Annotated[Text, Field(max_length=8000), AfterValidator(_web_address)]
"""An `http://` or `https://` URL without credentials."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def excerpt(self, most: int = 500) -> str:
        return " ".join(self.text[: 2 * most].split())[:most]


def shown(url: str) -> str:
    """A URL as logs may show it: without its query, where credentials hide."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def fetch(
    context: StepContext,
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    timeout: float,
    verify: bool = True,
) -> Answer:
    """Send it and read the whole answer within `timeout` seconds and the step's own time.

    Redirects are followed on the same host only, so that credentials never travel to another one. RetryLater when
    there is no connection or no answer in time, StepCancelled on cancel, StepFailed when it can never work. The request
    is made on a thread of its own: a server that answers byte by byte cannot hold the step.
    """
    limit = min(time.monotonic() + timeout, context.deadline)
    results: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            results.put(_exchange(method, url, dict(headers), body, limit, verify=verify, before=context.check_held))
        except Exception as error:  # noqa: BLE001 - handed to the step's own thread, which raises it
            results.put(error)

    threading.Thread(target=work, name="step-http", daemon=True).start()
    while True:
        try:
            result = results.get(timeout=_POLL)
        except queue.Empty:
            if context.cancel.cancelled:
                raise StepCancelled from None
            if time.monotonic() >= context.deadline:
                raise StepTimeout(f"{shown(url)} did not answer within the step's time.") from None
            if time.monotonic() > limit + _POLL:
                raise RetryLater(f"{shown(url)} did not answer within {timeout:g} s.", reason="timeout") from None
            continue
        if isinstance(result, Exception) and time.monotonic() >= context.deadline:
            raise StepTimeout(f"{shown(url)} did not answer within the step's time.") from result
        if isinstance(result, Exception):
            raise _translated(result, url, timeout) from result
        return result


def _exchange(
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes | None,
    limit: float,
    *,
    verify: bool,
    before: Callable[[], None],
) -> Answer:
    """`before` is asked before each request, as late as possible."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    left = max(0.01, limit - time.monotonic())
    headers = {"Accept-Encoding": "identity", "User-Agent": "innominatus", **headers}
    with httpx2.Client(verify=context, timeout=left, trust_env=False) as client:
        request = client.build_request(method, url, headers=headers, content=body)
        for _ in range(_REDIRECTS + 1):
            before()
            response = client.send(request, stream=True, follow_redirects=False)
            try:
                following = response.next_request
                if following is None or not _same_host(request.url, following.url):
                    return Answer(response.status_code, dict(response.headers), _read(response, limit))
            finally:
                response.close()
            request = following
    raise StepFailed(f"{shown(url)} redirects more than {_REDIRECTS} times.")


def _same_host(here: httpx2.URL, there: httpx2.URL) -> bool:
    """Same origin, or the same host going over to https at the usual ports."""
    origin = (there.scheme, there.host, there.port)
    return origin == (here.scheme, here.host, here.port) or (
        here.scheme == "http" and here.port is None and origin == ("https", here.host, None)
    )


def _read(response: httpx2.Response, limit: float) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise StepFailed(f"The answer is larger than {MAX_BYTES} bytes.")
        if time.monotonic() > limit:
            raise httpx2.ReadTimeout("the answer did not end in time")
    return bytes(body)


def _translated(error: Exception, url: str, timeout: float) -> Exception:
    """What went wrong, in the step's words."""
    where = shown(url)
    told = str(error) or type(error).__name__
    if isinstance(error, StepFailed | StepCancelled):
        return error
    if "CERTIFICATE_VERIFY_FAILED" in told:
        return StepFailed(
            f"The certificate of {where} is not trusted: {told}.",
            hint="Add its authority to the machine's trusted certificates, or set `verify: false` for a test server.",
            reason="untrusted",
        )
    if isinstance(error, httpx2.TimeoutException):
        return RetryLater(f"{where} did not answer within {timeout:g} s.", reason="timeout")
    if isinstance(error, httpx2.TransportError) and not isinstance(
        error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol
    ):
        reason = "unreachable" if isinstance(error, httpx2.ConnectError) else "cut_off"
        return RetryLater(f"{where} cannot be reached: {told}.", reason=reason)
    return StepFailed(f"The request to {where} cannot be sent: {told}.")
