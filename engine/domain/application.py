"""The named thing over time, and one submitted version of its Score document."""

from dataclasses import dataclass
from datetime import datetime

from engine.domain.values import ApplicationId, SpecId


@dataclass(frozen=True, slots=True)
class Application:
    id: ApplicationId
    name: str
    environment: str
    team: str = ""
    created_by: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    expires_at: datetime | None = None
    """When it is deleted by itself; None for never."""


@dataclass(frozen=True, slots=True)
class SubmittedVersion:
    """One immutable submitted Score document; `version` counts from 1 per application."""

    id: SpecId
    application_id: ApplicationId
    version: int
    digest: str
    source: str
    submitted_by: str = ""
    submitted_at: datetime | None = None
