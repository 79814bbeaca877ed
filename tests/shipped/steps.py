"""Runs a shipped workflow's scripts the way the engine does: the same environment and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

PROVIDERS = Path(__file__).parents[2] / "providers"
ORDINARY = 65534
"""Root runs the scripts a second time as this user."""
REFUSED = 78
"""The exit code of a script that cannot succeed however often it is tried."""
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a script ended."""

    code: int
    outputs: Object
    error: str
    log: str


@dataclass(slots=True)
class Bench:
    """A provider at work in a data directory of its own, as ourselves or as an ordinary user."""

    provider: str
    data: Path
    ordinary: bool = False
    environment: str = "default"
    previous: Object = field(default_factory=dict[str, Any])

    def run(
        self,
        workflow: str,
        *,
        name: str = "shop.db",
        params: Object | None = None,
        outputs: Object | None = None,
        env: Object | None = None,
    ) -> Answer:
        """Run the workflow's only script for the resource with the id `name`."""
        process, folder = self.begin(workflow, name=name, params=params, outputs=outputs, env=env)
        log, error = process.communicate(timeout=60)
        return self.finish(process, folder, log, error)

    def done(
        self,
        workflow: str,
        *,
        name: str = "shop.db",
        params: Object | None = None,
        outputs: Object | None = None,
        env: Object | None = None,
    ) -> Object:
        """The outputs of a script that has to succeed."""
        answer = self.run(workflow, name=name, params=params, outputs=outputs, env=env)
        assert answer.code == 0, answer.error
        return answer.outputs

    def begin(
        self,
        workflow: str,
        *,
        name: str = "shop.db",
        params: Object | None = None,
        outputs: Object | None = None,
        env: Object | None = None,
        group: bool = False,
    ) -> "tuple[subprocess.Popen[str], Path]":
        """Start the script; `finish` takes what it leaves."""
        folder = Path(tempfile.mkdtemp(dir=self.data))
        config = script_of(self.provider, workflow)
        resource: Object = {"id": name, "class": "default", "type": "any", "outputs": outputs or {}}
        inputs: Object = {**(params or {}), "environment": self.environment, "resource": resource}
        (folder / "inputs.json").write_text(json.dumps(inputs))
        (folder / "output").touch()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "INNOMINATUS_INPUTS": str(folder / "inputs.json"),
            "INNOMINATUS_OUTPUT": str(folder / "output"),
            "INNOMINATUS_PROVIDER_DATA": str(self.data / "provider"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **cast("dict[str, str]", config.get("env", {})),
            **(env or {}),
        }
        (self.data / "provider").mkdir(mode=0o700, exist_ok=True)
        if self.ordinary:
            for path in (self.data, self.data / "provider", folder, *folder.iterdir()):
                os.chown(path, ORDINARY, ORDINARY)
        argv = [*demotion(ordinary=self.ordinary), sys.executable, str(PROVIDERS / self.provider / config["file"])]
        process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=folder,
            start_new_session=group,
        )
        return process, folder

    def finish(self, process: "subprocess.Popen[str]", folder: Path, log: str, error: str) -> Answer:
        return Answer(process.returncode, outputs_in(folder / "output"), error, log)


def script_of(provider: str, workflow: str) -> Object:
    """The config of the workflow's policy step."""
    document = cast("Object", yaml.safe_load((PROVIDERS / provider / "workflows" / f"{workflow}.yaml").read_text()))
    steps = [step for step in document["steps"] if step["type"] == "policy"]
    assert len(steps) == 1
    return cast("Object", steps[0]["config"])


def outputs_in(file: Path) -> Object:
    """Typed outputs (`name:=json`), the only form these scripts use."""
    pairs = (line.partition(":=") for line in file.read_text().splitlines())
    return {name: json.loads(value) for name, _, value in pairs}


def demotion(*, ordinary: bool) -> list[str]:
    """The words before a command that make it run as an ordinary user, who may still read this checkout."""
    if not ordinary:
        return []
    setpriv = shutil.which("setpriv")
    assert setpriv, "util-linux's setpriv is needed to run these tests as root"
    words = [setpriv, f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"]
    # The interpreter may live in root's home: reading is allowed, everything else is as for anybody.
    return [*words, "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
