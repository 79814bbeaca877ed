"""A process with a door and no engine: reads one request per line, as JSON, and answers each with one line.

    python door_process.py <database url> <folder> <provider folder>

A request is `{"do": "submit" | "execute", "source": ..., "keys": [...]}`: one thread per key, all at the same moment.
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

from engine.errors import InnominatusError
from engine.services import executions, submissions
from tests.support.platforms import ME, House, build_platform, open_store


def ask(house: House, request: dict[str, Any], key: str | None) -> dict[str, Any]:
    try:
        if request["do"] == "execute":
            return {"execution": executions.execute(house.platform, ME, "mixed", {}, idempotency_key=key)}
        made = submissions.submit(house.platform, ME, request["source"], idempotency_key=key)
    except InnominatusError as error:
        return {"error": error.code}
    return {"version": made.version, "executions": list(made.execution_ids)}


def main() -> None:
    url, folder, provider = sys.argv[1:]
    store = open_store(url)
    house = build_platform(store, Path(folder), [Path(provider)])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        keys: list[str | None] = request["keys"]
        answers: list[dict[str, Any]] = [{} for _ in keys]
        start = threading.Barrier(len(keys))

        def one(
            number: int,
            key: str | None,
            start: threading.Barrier = start,
            answers: list[dict[str, Any]] = answers,
            request: dict[str, Any] = request,
        ) -> None:
            start.wait()
            answers[number] = ask(house, request, key)

        threads = [threading.Thread(target=one, args=pair) for pair in enumerate(keys)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()
    store.close()


if __name__ == "__main__":
    main()
