"""`python servers.py postgres-start|valkey-start|status|stop|purge --data DIR`: the local servers by hand.

`--data` is the provider's folder in the platform's data directory. Answers are one JSON object on stdout.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from postgres_server import PostgresServer
from step import Failed
from valkey_server import ValkeyServer


def postgres(data: Path, *, quick: bool = False) -> PostgresServer:
    return PostgresServer(data / "postgres", quick=quick)


def valkey(data: Path) -> ValkeyServer:
    return ValkeyServer(data / "valkey")


def status(server: PostgresServer | ValkeyServer) -> dict[str, object]:
    """Whether it runs and where, and which folders are its own."""
    pid, port = server.status()
    return {"pid": pid, "port": port, "folders": [str(folder) for folder in server.folders()]}


def perform(command: str, data: Path, *, quick: bool) -> object:
    """One command's answer, as JSON."""
    found = {"postgres": postgres(data, quick=quick), "valkey": valkey(data)}
    present = {name: server for name, server in found.items() if server.home.exists()}
    if command == "postgres-start":
        return asdict(found["postgres"].start())
    if command == "valkey-start":
        return asdict(found["valkey"].start())
    if command == "status":
        return {name: status(server) for name, server in present.items()}
    if command == "stop":
        return {name: {"stopped": server.stop()} for name, server in present.items()}
    for server in present.values():
        server.purge()
    return {name: {"removed": True} for name in present}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["postgres-start", "valkey-start", "status", "stop", "purge"])
    parser.add_argument("--data", type=Path, default=os.environ.get("INNOMINATUS_PROVIDER_DATA"))
    parser.add_argument("--quick", action="store_true", help="give up durability for speed (tests)")
    given = parser.parse_args()
    if given.data is None:
        parser.error("--data (or INNOMINATUS_PROVIDER_DATA) is needed")
    try:
        print(json.dumps(perform(given.command, given.data.absolute(), quick=given.quick)))
    except Failed as failure:
        print(failure, file=sys.stderr)
        raise SystemExit(failure.exit_code) from None


if __name__ == "__main__":
    main()
