"""Folders of claims: what one has ended with is removed, what a later one works in is not."""

from pathlib import Path

from engine.domain.execution import ExecutionState
from engine.domain.runs import Execution
from engine.domain.values import ExecutionId
from engine.runtime.workspace import Workspaces


def claimed(number: int, fence: int) -> Execution:
    state = ExecutionState.RUNNING
    return Execution(id=ExecutionId(number), provider="p", digest="d", workflow="w", state=state, fence=fence)


def test_a_claim_that_ends_removes_its_folders_and_those_of_earlier_claims_but_none_of_a_later_one(
    tmp_path: Path,
) -> None:
    workspaces = Workspaces(tmp_path / "w", artifact_bytes=1000)
    left = workspaces.open(claimed(1, 1), 0, ())  # its engine died
    own, other = workspaces.open(claimed(1, 2), 0, ()), workspaces.open(claimed(12, 1), 0, ())
    retried = workspaces.open(claimed(1, 3), 0, ())  # a person was quicker than the end of the claim before
    workspaces.close(claimed(1, 2))
    assert [folder.exists() for folder in (left, own, retried, other)] == [False, False, True, True]
    workspaces.close(claimed(1, 3))
    workspaces.close(claimed(12, 1))
    assert list((tmp_path / "w").iterdir()) == []


def test_closing_what_was_never_opened_does_nothing(tmp_path: Path) -> None:
    Workspaces(tmp_path / "w", artifact_bytes=1000).close(claimed(1, 7))
    assert not (tmp_path / "w").exists()


def test_a_step_begins_in_an_empty_folder(tmp_path: Path) -> None:
    workspaces = Workspaces(tmp_path / "w", artifact_bytes=1000)
    (workspaces.open(claimed(1, 1), 0, ()) / "left").touch()
    assert list(workspaces.open(claimed(1, 1), 0, ()).iterdir()) == []
