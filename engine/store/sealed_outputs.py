"""Outputs and the like in their sealed form."""

from typing import Any

from engine.domain.runs import NO_OUTPUTS, Outputs
from engine.store.database import Transaction


def seal(tx: Transaction, outputs: Outputs, purpose: str) -> bytes | None:
    """Sealed values with the names of the secret ones; None for none."""
    if not outputs.values:
        return None
    return tx.sealer.seal_json({"values": outputs.values, "secret": sorted(outputs.secret)}, purpose)


def unseal(tx: Transaction, sealed: bytes | None, purpose: str) -> Outputs:
    if sealed is None:
        return NO_OUTPUTS
    opened: Any = tx.sealer.open_json(sealed, purpose)
    return Outputs(opened["values"], frozenset(opened["secret"]))
