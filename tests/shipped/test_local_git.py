"""`git-repository` of local-team and the first commit of `onboard-service`, with real git."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.shipped.fixtures import bench
from tests.shipped.steps import PROVIDERS, REFUSED, Bench

ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@pytest.fixture
def local() -> Iterator[Bench]:
    with bench("local-team") as made:
        yield made


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_repository_can_be_cloned_pushed_to_and_cloned_again(local: Bench, tmp_path: Path) -> None:
    made = local.done("provision-git-repository", params={"default_branch": "trunk", "description": "A shop"})
    assert made["url"].startswith("file:///")
    git(tmp_path, "clone", made["url"], "one")
    (tmp_path / "one/a.txt").write_text("hello")
    git(tmp_path / "one", "add", "a.txt")
    git(tmp_path / "one", "commit", "-m", "first")
    git(tmp_path / "one", "push", "origin", "HEAD")
    assert local.done("provision-git-repository", params={"default_branch": "trunk"}) == made
    git(tmp_path, "clone", made["url"], "two")
    assert (tmp_path / "two/a.txt").read_text() == "hello"
    assert git(tmp_path / "two", "branch", "--show-current") == "trunk"
    local.done("check-git-repository", outputs=made)


def test_a_deleted_repository_is_gone_and_deleting_it_again_is_fine(local: Bench) -> None:
    made = local.done("provision-git-repository")
    local.done("delete-git-repository", outputs=made)
    assert not Path(made["path"]).exists()
    assert local.done("delete-git-repository", outputs=made) == {}
    assert local.run("check-git-repository", outputs=made).code == REFUSED


def test_what_a_killed_create_left_is_no_obstacle(local: Bench) -> None:
    made = local.done("provision-git-repository")
    local.done("delete-git-repository")
    Path(made["path"]).with_suffix(".new").mkdir()
    Path(made["path"]).mkdir()
    assert local.done("provision-git-repository") == made


def test_a_symbolic_link_in_the_repositorys_place_is_not_followed(local: Bench, tmp_path: Path) -> None:
    made = local.done("provision-git-repository")
    local.done("delete-git-repository")
    (tmp_path / "precious").mkdir()
    Path(made["path"]).symlink_to(tmp_path / "precious")
    answer = local.run("delete-git-repository")
    assert answer.code == REFUSED
    assert "symbolic link" in answer.error
    assert (tmp_path / "precious").is_dir()


@pytest.mark.parametrize("branch", ["--upload-pack=x", "a..b", "a b", "x.lock", "/a", "a/", "$(id)"])
def test_a_hostile_branch_name_is_refused(local: Bench, branch: str) -> None:
    answer = local.run("provision-git-repository", params={"default_branch": branch})
    assert answer.code == REFUSED
    assert "is no branch name" in answer.error


def test_an_earlier_path_sent_by_somebody_is_not_what_is_removed(local: Bench, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    local.done("delete-git-repository", outputs={"path": str(tmp_path / "precious")})
    assert (tmp_path / "precious").is_dir()


def test_a_new_service_gets_one_first_commit_however_often_it_runs(local: Bench, tmp_path: Path) -> None:
    made = local.done("provision-git-repository")
    steps = yaml.safe_load((PROVIDERS / "local-team/workflows/onboard-service.yaml").read_text())["steps"]
    score = next(step for step in steps if step["name"] == "score")["config"]["values"]["text"]
    values = {"REPOSITORY": made["url"], "BRANCH": "main", "SCORE": score}
    first = local.done("onboard-service", params={"name": "payments", "owner": "Team Pay"}, env=values)
    again = local.done("onboard-service", params={"name": "payments", "owner": "Team Pay"}, env=values)
    assert first == again
    git(tmp_path, "clone", made["url"], "clone")
    assert git(tmp_path / "clone", "rev-list", "--count", "HEAD") == "1"
    assert git(tmp_path / "clone", "rev-parse", "HEAD") == first["commit"]
    assert "Team Pay" in (tmp_path / "clone/README.md").read_text()
    assert (tmp_path / "clone/score.yaml").read_text() == score
