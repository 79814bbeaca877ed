"""Where what a local provider makes is kept: one data directory on one machine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Two places are the same when their ids are. `host` and `folder` tell people where it was seen last."""

    id: str
    host: str
    folder: str

    def __str__(self) -> str:
        return f"{self.id} {self.host}:{self.folder}"

    def is_same(self, other: "Place") -> bool:
        return self.id == other.id


def parse(text: str) -> Place | None:
    """The place that `str` wrote; None for an empty text."""
    if not text:
        return None
    identity, _, seen = text.partition(" ")
    host, _, folder = seen.partition(":")
    return Place(identity, host, folder)
