"""The shape of a diagnosis, for the description of the API: `engine.services.diagnosis_views` makes it."""

from pydantic import Field

from api.models import Model
from engine.domain.diagnosis import CauseClass, Do, RetrySafety


class DiagnosisNode(Model):
    """Something on the way to the cause: a resource with the execution that failed for it, or one of the two."""

    name: str
    state: str
    why: str
    resource_id: int | None
    execution_id: int | None
    workflow_name: str
    operation: str | None
    provider: str
    application_name: str
    environment: str


class DiagnosisStep(Model):
    step_name: str
    step_type: str
    attempt: int


class DiagnosisAlso(Model):
    """Something else that failed beside the cause."""

    name: str
    says: str
    resource_id: int | None


class DiagnosisLeftBehind(Model):
    """Something that exists all the same, or may."""

    kind: str = Field(examples=["step", "thing", "resource", "resources"])
    name: str
    how: str


class DiagnosisRetry(Model):
    safety: RetrySafety
    why: str


class DiagnosisMove(Model):
    """Something to do next, with the arguments that it needs."""

    do: Do
    why: str
    execution_id: int | None = None
    resource_id: int | None = None
    step_name: str = ""
    workflow_name: str = ""
    application_name: str = ""
    environment: str = ""


class Diagnosis(Model):
    """Why something failed. Where `failed` is false, there is nothing else in it."""

    failed: bool
    cause: CauseClass | None = Field(default=None, description="Who or what has to change before it can succeed.")
    evidence: str = Field(default="", description="What decided about the class: a fact on record, or words.")
    says: str = Field(default="", description="The error in one line.")
    node: DiagnosisNode | None = Field(default=None, description="What failed deepest: the last of `chain`.")
    step: DiagnosisStep | None = None
    log: str = Field(default="", description="The lines of the step's log around the telling one, at most 20.")
    chain: list[DiagnosisNode] = Field(default_factory=list[DiagnosisNode])
    also: list[DiagnosisAlso] = Field(default_factory=list[DiagnosisAlso])
    left_behind: list[DiagnosisLeftBehind] = Field(default_factory=list[DiagnosisLeftBehind])
    retry: DiagnosisRetry | None = None
    next: list[DiagnosisMove] = Field(default_factory=list[DiagnosisMove], description="The most useful first.")
