"""The demo's own platform: a data directory, a server process, and the command lines that use it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cli import live, local_servers
from cli.client import Api
from engine.errors import InnominatusError, Unavailable

_START_SECONDS = 30.0
_STOP_SECONDS = 30.0
_COMMAND_SECONDS = 90.0


class DemoFailed(Exception):
    """Something that the demo promises was not observed."""


@dataclass
class House:
    """A platform of its own; nothing of the caller's own settings reaches it."""

    data_dir: Path
    _server: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @classmethod
    def make(cls, place: Path) -> Self:
        """In `place`, emptied of an earlier demo; elsewhere where that one still serves or cannot be written."""
        if live.find(place) is None:
            house = cls(place)
            try:
                house.remove()
                place.mkdir(mode=0o700)
            except (OSError, InnominatusError):
                pass
            else:
                return house
        return cls(Path(tempfile.mkdtemp(prefix="innominatus-demo-")))

    @property
    def pid(self) -> int:
        return 0 if self._server is None else self._server.pid

    def start(self) -> Api:
        """Start `innominatus serve` on a free port and connect to it once it answers."""
        command = [sys.executable, "-m", "cli.server", "serve", "--port", "0", "--data-dir", str(self.data_dir)]
        with (self.data_dir / "serve.log").open("ab") as log:
            self._server = subprocess.Popen(  # noqa: S603 - our own program
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(), start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._server.poll() is None:
            found = live.find(self.data_dir)
            if found is not None and found.pid == self._server.pid:
                api = Api(found.url, (self.data_dir / "token").read_text().strip())
                try:
                    api.get("/health")
                except Unavailable:
                    continue
                return api
            time.sleep(0.05)
        raise DemoFailed(f"The platform did not start:\n{self._log_tail()}")

    def ctl(self, *args: str, show: bool = True) -> str:
        """Run innominatus-ctl against this platform, printed as it goes unless `show` is off."""
        return self._run("cli.ctl", args, show=show)

    def innominatus(self, *args: str) -> str:
        return self._run("cli.server", args, show=False)

    def _run(self, module: str, args: tuple[str, ...], *, show: bool) -> str:
        environment = {**_environment(), "INNOMINATUS_DATA_DIR": str(self.data_dir)}
        sys.stdout.flush()
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                [sys.executable, "-m", module, *args],
                env=environment,
                stdout=None if show else subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                check=False,
                timeout=_COMMAND_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"`{module} {' '.join(args)}` did not end.\n{self._log_tail()}") from None
        if done.returncode:
            raise DemoFailed(f"`{module} {' '.join(args)}` ended with exit code {done.returncode}.\n{self._log_tail()}")
        return done.stdout or ""

    def stop(self) -> None:
        """Stop the server and the database servers. Raises DemoFailed when one does not stop."""
        if self._server is not None and self._server.poll() is None:
            self._server.terminate()
            try:
                code = self._server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._server.kill()
                raise DemoFailed(f"The platform did not stop within {_STOP_SECONDS:.0f} s.") from None
            if code:
                raise DemoFailed(f"The platform stopped with exit code {code}.\n{self._log_tail()}")
        self.innominatus("local", "stop", "--data-dir", str(self.data_dir))

    def remove(self) -> None:
        """Remove the data directory, its database servers, and what they keep outside it when they run for root."""
        local_servers.purge(self.data_dir)
        if self.data_dir.exists():
            shutil.rmtree(self.data_dir)

    def _log_tail(self) -> str:
        try:
            return (self.data_dir / "serve.log").read_text(errors="replace")[-2000:]
        except OSError:
            return ""


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("INNOMINATUS_", "IDP_API_"))}
