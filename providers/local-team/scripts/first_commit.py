"""Give a new repository its first commit: a README and the service's Score file. Does nothing where one is there."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import step
from git_repository import git
from step import Object

IDENTITY = ("-c", "user.name=innominatus", "-c", "user.email=innominatus@localhost")


def commit(given: Object) -> Mapping[str, object]:
    """The branch's newest commit, made if the branch has none."""
    name, url, branch = str(given["name"]), os.environ["REPOSITORY"], os.environ["BRANCH"]
    heads = git("ls-remote", "--heads", url, branch)
    if not heads:
        with tempfile.TemporaryDirectory() as folder:
            git("clone", "--quiet", url, folder)
            files = {"README.md": readme(name, given, url), "score.yaml": os.environ["SCORE"]}
            for path, content in files.items():
                Path(folder, path).write_text(content, encoding="utf-8")
            git("-C", folder, "add", "--", *files)
            git("-C", folder, *IDENTITY, "commit", "--quiet", "-m", f"Start {name}")
            git("-C", folder, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        heads = git("ls-remote", "--heads", url, branch)
    return {"commit": heads.split()[0]}


def readme(name: str, given: Object, url: str) -> str:
    owner = given.get("owner")
    lines = [f"# {name}", *([f"Owned by {owner}."] if owner else []), f"Clone: `git clone {url}`"]
    lines.append("Deploy: `innominatus-ctl deploy score.yaml -w`")
    return "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    step.run({"commit": commit})
