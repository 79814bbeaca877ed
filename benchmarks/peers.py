"""Other durable engines under the same load on the same servers, by benchmarks that lie outside this repository.

They connect as `bench` without a password to fixed ports on loopback, and find the servers' pids below `BENCH_DIR`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import redis

from benchmarks.engine_figures import Figure, load
from benchmarks.ground import Ground

PORTS = (55432, 56379)


def measured(ground: Ground, folder: Path, names: list[str]) -> list[Figure]:
    """One figure per peer; a peer that does not run says why."""
    _let_in(ground)
    python = _environment(ground, folder)
    return [_run(ground, folder, name, python) for name in names]


def _let_in(ground: Ground) -> None:
    at = ground.postgres
    admin = f"postgresql://{at.user}:{at.password}@{at.host}:{at.port}/postgres"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE ROLE bench SUPERUSER LOGIN")
        (where,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        (data,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        rules = Path(where)
        rules.write_text("host all bench 127.0.0.1/32 trust\n" + rules.read_text())
        connection.execute("SELECT pg_reload_conf()")
    (ground.folder / "pgdata").symlink_to(data)
    (ground.folder / "redis").mkdir()
    (ground.folder / "redis" / "redis.pid").write_text(str(ground.valkey.pid))
    client = redis.Redis(
        host=ground.valkey.host, port=ground.valkey.port, username=ground.valkey.user, password=ground.valkey.password
    )
    client.execute_command("ACL SETUSER default on nopass ~* &* +@all")  # pyright: ignore[reportUnknownMemberType] - redis leaves it untyped


def _environment(ground: Ground, folder: Path) -> Path:
    """An interpreter with what the peers need, in an environment that goes with the run."""
    del folder
    home = ground.folder / "peers"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    wanted = ["pgqueuer>=1.6", "procrastinate>=3.10", "asyncpg", "psycopg[binary,pool]>=3.3", "redis"]
    subprocess.run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *wanted], check=True)
    return home / "bin" / "python"


def _run(ground: Ground, folder: Path, name: str, python: Path) -> Figure:
    environment = {
        **os.environ,
        "BENCH_DIR": str(ground.folder),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [str(python), f"peer_{name}.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("{")), None)
    if line is None:
        return Figure(f"peer {name}", f"did not run: {done.stderr.strip().splitlines()[-1:]}", "", load())
    found = json.loads(line)
    value = (
        f"{found['wf_s']:.0f}/s, {found['cpu_ms_wf']:.2f} ms CPU each (all processes); "
        f"idle p50 {found['p50_ms']:.1f} ms, p95 {found['p95_ms']:.1f} ms"
    )
    return Figure(f"peer {found['peer']}: {found['n']} workflows of 5 steps at once", value, "", load())
