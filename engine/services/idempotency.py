"""Run a use case once per idempotency key."""

from collections.abc import Callable

from engine.domain.planner import canonical
from engine.domain.values import Actor, JsonObject
from engine.errors import Invalid, Problem, Unavailable
from engine.services.platform import Platform
from engine.store import idempotency
from engine.store.database import Transaction

_LONGEST_KEY = 255


def once(
    platform: Platform,
    tx: Transaction,
    actor: Actor,
    operation: str,
    key: str | None,
    *,
    request: JsonObject,
    work: Callable[[], JsonObject],
) -> tuple[JsonObject, bool]:
    """The handle of `work`, and whether it was done before. Without a key it is always done."""
    if key is None:
        return work(), False
    if not key.strip() or len(key) > _LONGEST_KEY or "\0" in key:
        message = f"must have at most {_LONGEST_KEY} characters" if key.strip() else "must not be blank"
        problem = Problem("idempotency_key", "idempotency_key", message, "use for example a UUID")
        raise Invalid(
            f"An idempotency key is a text of 1 to {_LONGEST_KEY} characters.", [problem], code="idempotency_key"
        )
    fingerprint = platform.store.sealer.fingerprint(canonical(request))
    known = idempotency.find(tx, str(actor), operation, key, fingerprint=fingerprint)
    if known is not None:
        return known, True
    if not idempotency.reserve(tx, str(actor), operation, key, fingerprint=fingerprint):
        known = idempotency.find(tx, str(actor), operation, key, fingerprint=fingerprint)
        if known is not None:  # another one was first, and we waited for its commit
            return known, True
        raise Unavailable("Another request holds this idempotency key.", code="busy", hint="Send it again in a second.")
    handle = work()
    idempotency.keep(tx, str(actor), operation, key, handle=handle)
    return handle, False
