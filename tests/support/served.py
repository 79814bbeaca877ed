"""The command lines as processes of their own, a real server among them, and a small provider for it."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import ctl

_PROVIDER = """\
apiVersion: v1
kind: Provider
metadata: {name: cli-team, version: 1.0.0, description: For tests}
capabilities:
  resourceTypeCapabilities:
    - type: thing
      operations: {create: {workflow: make}, update: {workflow: make}, delete: {workflow: remove}}
      outputs: [{name: host}, {name: key, secret: true}]
    - type: breaks
      operations: {create: {workflow: break}, delete: {workflow: remove}}
    - type: stuck
      operations: {create: {workflow: make}, delete: {workflow: break}}
      outputs: [{name: host}, {name: key, secret: true}]
    - type: sized
      operations: {create: {workflow: make}, delete: {workflow: remove}}
      params:
        type: object
        required: [size]
        properties:
          size: {type: string, enum: [small, large], default: small, description: How large it is}
          open: {type: boolean, default: true}
    - type: workload
      operations: {create: {workflow: deploy}, update: {workflow: deploy}, delete: {workflow: remove}}
workflows:
  - {name: make, file: make.yaml, category: provisioner}
  - {name: break, file: break.yaml, category: provisioner}
  - {name: remove, file: remove.yaml, category: provisioner, operation: delete}
  - {name: deploy, file: deploy.yaml, category: provisioner}
  - {name: greet, file: greet.yaml, category: goldenpath, description: Say hello}
  - {name: ask, file: ask.yaml, category: goldenpath}
  - {name: talk, file: talk.yaml, category: goldenpath}
"""
_HEAD = "apiVersion: innominatus.io/v1\nkind: Workflow\nmetadata: {name: %s}\n"
_WORKFLOWS = {
    "make": """\
parameters: [{name: note, type: string, default: ""}]
steps:
  - name: made
    type: set
    config: {values: {host: "{{ resource.id }}.test", key: "it's $HOME `x` 100%"}}
    secretOutputs: [key]
outputs:
  host: "{{ steps.made.outputs.host }}"
  key: {value: "{{ steps.made.outputs.key }}", secret: true}
""",
    "break": """\
steps:
  - {name: broken, type: policy, config: {script: "printf 'before \\\\033[31mred\\\\n'; echo no luck today >&2; exit 3"}}
""",
    "remove": "steps:\n  - {name: removed, type: set, config: {values: {gone: true}}}\n",
    "deploy": """\
parameters: [{name: workload, type: object, required: true}]
steps:
  - {name: rendered, type: set, config: {values: {done: true}}}
""",
    "greet": """\
parameters:
  - {name: name, type: string, required: true, pattern: "[a-z]+"}
  - {name: times, type: int, default: 1}
steps:
  - {name: greeted, type: set, config: {values: {text: "hello {{ parameters.name }}", times: "{{ parameters.times }}"}}}
outputs: {text: "{{ steps.greeted.outputs.text }}", times: "{{ steps.greeted.outputs.times }}"}
""",
    "talk": """\
parameters: [{name: dir, type: string, required: true}]
steps:
  - name: says
    type: policy
    config: {script: 'echo hello; while [ ! -e "$PARAM_DIR/go" ]; do sleep 0.05; done; echo goodbye'}
  - {name: ends, type: policy, config: {script: "echo over; exit 3"}}
""",
    "ask": """\
steps:
  - {name: gate, type: set, when: manual, config: {values: {open: true}}}
""",
}
SPEC = """\
apiVersion: score.dev/v1b1
metadata: {name: %s}
containers:
  web:
    image: nginx
    variables: {HOST: "${resources.db.host}", KEY: "${resources.db.key}", LEVEL: "%s"}
resources:
  db: {type: thing, params: {note: %s}}
%s"""


def score(name: str, *, level: str = "info", note: str = "first", more: str = "") -> str:
    return SPEC % (name, level, note, more)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def clean_environment(**given: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("INNOMINATUS_", "IDP_API"))}
    return {**kept, **given}


def run(module: str, *args: str, env: dict[str, str] | None = None, stdin: str = "", cwd: Path | None = None) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", module, *args],
        env=clean_environment(**(env or {})),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class _Typed(io.TextIOWrapper):
    """What a person at a terminal types."""

    def isatty(self) -> bool:
        return True


def call(
    main: Callable[[], None], *args: str, env: dict[str, str] | None = None, stdin: str = "", typed: str | None = None
) -> Done:
    """A command line in this process: the same program without the start of an interpreter each time.

    `typed` makes stdin a terminal at which a person types that.
    """
    out, err = io.StringIO(), io.StringIO()
    before, argv, own = dict(os.environ), sys.argv, sys.stdin
    environment = clean_environment(**(env or {}))
    os.environ.clear()
    os.environ.update(environment)
    given = io.BytesIO((stdin if typed is None else typed).encode())
    sys.argv, sys.stdin = ["program", *args], io.TextIOWrapper(given) if typed is None else _Typed(given)
    code = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.argv, sys.stdin = argv, own
        os.environ.clear()
        os.environ.update(before)
    return Done(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Served:
    """A running `innominatus serve`."""

    process: "subprocess.Popen[str]"
    data_dir: Path
    url: str
    greeting: str

    def ctl(self, *args: str, stdin: str = "", **env: str) -> Done:
        return call(ctl.main, *args, env={"INNOMINATUS_DATA_DIR": str(self.data_dir), **env}, stdin=stdin)

    def submit(self, name: str, *args: str, **given: str) -> Done:
        return self.ctl("deploy", "-", "-w", *args, stdin=score(name, **given))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        code = self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def start(data_dir: Path, *args: str, **env: str) -> Served:
    """Start a server on a free port and read its greeting; a server that does not start fails the test."""
    log = (data_dir.parent / f"{data_dir.name}.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.server", "serve", "--port", "0", "--data-dir", str(data_dir), *args],
        env=clean_environment(INNOMINATUS_LOG_FORMAT="json", **env),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    log.close()
    assert process.stdout is not None
    timer = threading.Timer(30, process.kill)
    timer.start()
    greeting = ""
    for line in process.stdout:
        greeting += line
        if "stop" in line:
            break
    timer.cancel()
    assert "serves" in greeting, (data_dir.parent / f"{data_dir.name}.log").read_text()
    return Served(process, data_dir, greeting.split()[2], greeting)


def write_provider(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "provider.yaml").write_text(_PROVIDER)
    for name, text in _WORKFLOWS.items():
        (folder / f"{name}.yaml").write_text(_HEAD % name + text)
    return folder
