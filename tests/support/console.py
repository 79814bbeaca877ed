"""Runs the console blocks of a page, and compares what is printed with what the page shows."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
_MARK = "--- the command has ended"
# A machine without curl still runs the page: the same request, by the library the product uses.
_CURL = """curl() { python -c 'import sys, httpx2
name, value = sys.argv[3].split(": ", 1)
print(httpx2.get(sys.argv[4], headers={name: value}).text)' "$@"; }
"""


@dataclass(frozen=True)
class Command:
    line: str
    shown: tuple[str, ...]


def blocks(page: Path, language: str) -> list[str]:
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [match["text"] for match in found if match["language"] == language]


def commands(block: str) -> list[Command]:
    """The `$ ` lines of a block, each with the lines it is said to print."""
    pieces = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    split = [piece.rstrip("\n").split("\n") for piece in pieces]
    return [Command(first, tuple(rest)) for first, *rest in split]


def differs(command: Command, printed: str) -> str:
    """What the page shows and the command did not print; `...` stands for anything, also for lines."""
    pattern = "\n".join(line.rstrip() for line in command.shown)
    wanted = re.escape(pattern).replace(re.escape("..."), ".*?")
    if re.fullmatch(f"{wanted}\\s*", "\n".join(line.rstrip() for line in printed.splitlines()), re.DOTALL):
        return ""
    return f"$ {command.line}\nprinted:\n{printed}\nbut the page shows:\n{pattern}"


@dataclass
class Terminal:
    """Shells for the commands of a page, beside at most one running platform."""

    folder: Path
    served: "subprocess.Popen[str] | None" = None
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = str(found.getsockname()[1])
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("INNOMINATUS_", "IDP_API"))}
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ours = {"INNOMINATUS_DATA_DIR": str(self.folder / "data"), "INNOMINATUS_PORT": self.port, "PATH": programs}
        self.environment = {**kept, **ours, "INNOMINATUS_LOG_FORMAT": "json", "HOME": str(self.folder)}

    def run(self, block: str) -> list[str]:
        """Run a block in one shell; the answer is where the page is wrong."""
        if block.strip() == "^C":
            self.stop()
            return []
        asked = commands(block)
        if asked[-1].line.endswith("innominatus serve"):
            return [differs(asked[-1], self._serve(asked[-1].line))]
        script = "".join(f"{self._here(command.line)}\necho '{_MARK}' $?\n" for command in asked)
        prelude = "" if shutil.which("curl", path=self.environment["PATH"]) else _CURL
        done = subprocess.run(
            ["bash", "-c", prelude + script],
            cwd=CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        printed = re.split(rf"^(.*?){_MARK} (\d+)\n", done.stdout, flags=re.MULTILINE)
        outputs = [before + last for before, last in zip(printed[::3], printed[1::3], strict=False)]
        wrong = [differs(command, self._shown(output)) for command, output in zip(asked, outputs, strict=True)]
        failed = [f"$ {c.line}\nended with {code}\n{done.stderr}" for c, code in zip(asked, printed[2::3], strict=True)
                  if code != "0"]  # fmt: skip
        return [*wrong, *failed]

    def _here(self, text: str) -> str:
        return text.replace("8081", self.port)

    def _shown(self, text: str) -> str:
        return text.replace(self.port, "8081")

    def _serve(self, line: str) -> str:
        self.stop()
        log = (self.folder / "serve.log").open("a")
        self.served = subprocess.Popen(
            ["bash", "-c", re.sub(r"(?=innominatus serve$)", "exec ", line)],
            cwd=CHECKOUT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        assert self.served.stdout is not None
        timer = threading.Timer(30, self.served.kill)
        timer.start()
        greeting = ""
        for printed in self.served.stdout:
            greeting += printed
            if "stop   Ctrl-C" in printed:
                break
        timer.cancel()
        return self._shown(greeting)

    def stop(self) -> None:
        """Ctrl-C, as the page says."""
        if self.served is not None and self.served.stdout is not None:
            self.served.send_signal(signal.SIGINT)
            self.served.wait(30)
            self.served.stdout.close()
            self.served = None

    def close(self) -> None:
        self.stop()
        purge = ["innominatus", "local", "purge", "--yes"]
        subprocess.run(purge, env=self.environment, capture_output=True, check=True)
