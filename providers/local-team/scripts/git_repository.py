"""The resource type `git-repository`: a bare repository on this machine that anyone here can clone by its URL."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import step
from files import locked, name_for, private_folder, remove_tree
from step import Failed, Object

BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


def create(given: Object) -> Mapping[str, object]:
    """Make the repository, or set branch and description of the one that is there; its commits are never touched."""
    repository = place(given)
    branch = branch_of(given)
    with locked(repository.with_suffix(".lock")):
        if not (repository / "HEAD").exists():
            fresh = repository.with_suffix(".new")
            remove_tree(fresh)
            git("init", "--quiet", "--bare", f"--initial-branch={branch}", str(fresh))
            remove_tree(repository)
            fresh.rename(repository)
        git("--git-dir", str(repository), "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        (repository / "description").write_text(f"{given.get('description') or ''}\n", encoding="utf-8")
    return outputs(repository, branch)


def read(given: Object) -> Mapping[str, object]:
    """Check that the repository is there and whole enough to be cloned."""
    repository = place(given)
    git("--git-dir", str(repository), "rev-parse", "--is-bare-repository")
    head = git("--git-dir", str(repository), "symbolic-ref", "HEAD").removeprefix("refs/heads/")
    return outputs(repository, head)


def delete(given: Object) -> Mapping[str, object]:
    repository = place(given)
    with locked(repository.with_suffix(".lock")):
        remove_tree(repository)
    return {}


def place(given: Object) -> Path:
    """Where this resource's repository is: always made of its identity, never of what somebody sends."""
    folder = private_folder(step.provider_data() / "repositories")
    return folder / f"{name_for(step.resource_identity(given), joint='-')}.git"


def branch_of(given: Object) -> str:
    branch = str(given.get("default_branch") or "main")
    if not BRANCH.fullmatch(branch) or ".." in branch or branch.endswith((".lock", ".")):
        raise Failed(f"`{branch}` is no branch name: use letters, digits, `.`, `_`, `-` and `/`.")
    return branch


def git(*words: str) -> str:
    """One git command's answer. The user's own configuration has no part in it."""
    program = shutil.which("git")
    if program is None:
        raise Failed("git is not on PATH. Install it, for example: apt-get install git")
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise Failed(f"git {words[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def outputs(repository: Path, branch: str) -> dict[str, object]:
    return {"url": repository.resolve().as_uri(), "path": str(repository), "default_branch": branch}


if __name__ == "__main__":
    step.run({"create": create, "update": create, "read": read, "delete": delete})
