"""`make demo`: a Score spec becomes a database, a cache and a workload, changes, and goes away again, all observed.

Exit code 0 only when every line that starts with ✓ was seen to hold.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from cli import demo_proof as proof
from cli.client import Api
from cli.demo_house import DemoFailed, House
from cli.text import as_object, as_objects, as_text, shown
from engine.config import Settings
from engine.domain.values import JsonObject
from engine.errors import InnominatusError, NotFound

APP = "ecommerce-backend"
_CHECKOUT = Path(__file__).parent.parent
_V1, _V2 = (_CHECKOUT / "examples" / f"{name}.yaml" for name in (APP, f"{APP}-v2"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Show the platform at work, and check what it shows.")
    parser.add_argument("--keep", action="store_true", help="leave it serving at the end")
    parser.add_argument("--data-dir", type=Path, default=_CHECKOUT / ".demo", help="where it keeps what it makes")
    given = parser.parse_args()
    keep = bool(given.keep)
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType] - always a TextIOWrapper here
    began = time.monotonic()
    house = House.make(given.data_dir.absolute())
    done = False
    try:
        done = _show(house, keep=keep)
        if keep:
            _leave_serving(house)
    except DemoFailed as failed:
        say(f"✗ {failed}")
    except InnominatusError as error:
        say(f"✗ {error.message} {error.hint}")
    except KeyboardInterrupt:
        say("✗ Interrupted.")
    finally:
        if not (keep and done):
            done = _clean_up(house, whole=done) and done
    say(f"\n{'Everything was observed' if done else 'The demo failed'} ({time.monotonic() - began:.1f} s).")
    sys.exit(0 if done else 1)


def _show(house: House, *, keep: bool) -> bool:
    heading("Start the platform")
    with house.start() as api:
        check(api.get("/health").get("status") == "ok", f"REST and MCP at {api.url}, state in {house.data_dir}")
        _deploy_first(house, api)
        first = _look_around(house, api)
        proof.database(api, APP)
        proof.cache(api, APP)
        _tell_how_to_talk(house, api, keep=keep)
        _deploy_second(house, api, first)
        _delete(house, api)
    return True


def _deploy_first(house: House, api: Api) -> None:
    heading(f"Deploy {_V1.name}")
    house.ctl("deploy", str(_V1), "--wait")
    found = api.get(f"/api/applications/{APP}")
    check(found.get("status") == "active", f"{APP} is active", shown(found.get("status")))


def _look_around(house: House, api: Api) -> JsonObject:
    """Print what there is; the answer is the database's outputs, secrets included."""
    heading("Resources and their outputs")
    secrets: set[str] = set()
    database: JsonObject = {}
    for item in as_objects(api.get("/api/resources", {"app": APP}).get("items")):
        say(f"  {shown(item.get('resource'))}  {shown(item.get('state'))}")
        outputs, hidden = as_object(item.get("outputs")), item.get("secret_outputs")
        for name, value in outputs.items():
            say(f"      {name:<12} {shown(value)[:100]}")
        names = [as_text(name) for name in hidden] if isinstance(hidden, list) else []
        check(all(outputs.get(name) == "***" for name in names), f"{len(names)} secret outputs are masked")
        revealed = as_object(api.get(f"/api/resources/{shown(item.get('id'))}", {"reveal": True}).get("outputs"))
        secrets |= {shown(revealed.get(name)) for name in names}
        if item.get("resource_name") == "db":
            database = revealed
    check(bool(database), "the database has outputs")
    heading("Graph")
    house.ctl("graph-export", APP)
    heading("The workload's resolved environment (innominatus-ctl env --reveal, secrets hidden here)")
    lines = house.ctl("env", APP, "--reveal", show=False)
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        lines = lines.replace(secret, "***")
    say("  " + lines.strip().replace("\n", "\n  "))
    check("DATABASE_URL=" in lines and "${" not in lines, "every placeholder is resolved")
    return database


def _tell_how_to_talk(house: House, api: Api, *, keep: bool) -> None:
    """With what holds when the demo has ended: of this platform only where it stays."""
    heading("Talk to it" if keep else "Talk to one of your own (this one goes when the demo ends; KEEP=1 leaves it)")
    usual = Settings.model_construct()
    folder, url = (house.data_dir, api.url) if keep else (usual.data_dir, f"http://127.0.0.1:{usual.port}")
    say("Claude Desktop: paste this into claude_desktop_config.json")
    say(house.innominatus("mcp", "config", "--data-dir", str(folder)).rstrip())
    token = f'$(cat "{folder}/token")'
    serving = "" if keep else ", while `innominatus serve` runs (both programs are in .venv/bin)"
    say(f'\nREST{serving}:\n  curl -H "Authorization: Bearer {token}" {url}/api/resources')
    answer = proof.tools(api)
    check(len(answer) == 10, f"MCP answers with {len(answer)} tools: {', '.join(answer)}")


def _deploy_second(house: House, api: Api, before: JsonObject) -> None:
    heading(f"Deploy {_V2.name}: one variable changes, a volume is new")
    planned = api.submit({"source": _V2.read_text(), "dry_run": True})
    actions = {
        as_text(item.get("type")): as_text(item.get("action"))
        for item in as_objects(as_object(planned.get("plan")).get("items"))
    }
    wanted = {"postgres": "unchanged", "redis": "unchanged", "volume": "create", "workload": "update"}
    check(actions == wanted, "the plan leaves the database and the cache alone", f"it is {actions}")
    house.ctl("deploy", str(_V2), "--wait", "--plan-hash", as_text(planned.get("plan_hash")))
    found = {as_text(r.get("resource_name")): r for r in as_objects(api.get(f"/api/applications/{APP}")["resources"])}
    database = api.get(f"/api/resources/{shown(found['db'].get('id'))}", {"reveal": True})
    check(database.get("outputs") == before, "the database has the same outputs")
    proof.row_is_there(api, APP)
    variables = proof.variables(api, APP)
    check(variables.get("LOG_LEVEL") == "debug", "the workload has the new variable", str(variables.get("LOG_LEVEL")))
    volume = next(item for item in found.values() if item.get("resource_type") == "volume")
    source = as_text(as_object(volume.get("outputs")).get("source"))
    check(bool(source) and Path(source).is_dir(), f"the volume is there: {source}")


def _delete(house: House, api: Api) -> None:
    heading("Delete everything, in reverse order")
    variables = proof.variables(api, APP)
    last = max((int(shown(event.get("id"))) for event in api.every("/api/events", {"app": APP})), default=0)
    house.ctl("delete", APP, "--yes", "--wait")
    try:
        api.get(f"/api/applications/{APP}")
        gone = False
    except NotFound:
        gone = True
    check(gone, f"{APP} is gone")
    events = as_objects(api.get("/api/events", {"app": APP, "after": last, "limit": 200}).get("items"))
    ended = [
        as_text(as_object(event.get("data")).get("resource")).partition("/")[0]
        for event in events
        if event.get("kind") == "resource.terminated"
    ]
    check(
        sorted(ended) == ["postgres", "redis", "volume", "workload"] and ended[0] == "workload",
        f"ended in reverse order: {', '.join(ended)}",
    )
    proof.no_longer(variables)


def _leave_serving(house: House) -> None:
    heading("Left serving, with the application deployed once more")
    house.ctl("deploy", str(_V1), "--wait")
    say(f"\nData directory: {house.data_dir}")
    say(f"Use it:   INNOMINATUS_DATA_DIR='{house.data_dir}' innominatus-ctl list   (both programs are in .venv/bin)")
    say(f"Clean up: INNOMINATUS_DATA_DIR='{house.data_dir}' innominatus-ctl delete {APP} --yes --wait")
    say(f"          kill {house.pid}")
    say(f"          innominatus local purge --data-dir '{house.data_dir}'; rm -r '{house.data_dir}'")


def _clean_up(house: House, *, whole: bool) -> bool:
    """Stop what runs; after a whole demo remove its data too."""
    heading("Clean up")
    try:
        house.stop()
        check(condition=True, what="the platform and its servers have stopped")
        if whole:
            house.remove()
    except (DemoFailed, InnominatusError, subprocess.SubprocessError, OSError) as error:
        say(f"✗ {error}")
        whole = False
    if not whole:
        say(f"What is left for a look: {house.data_dir} (serve.log)")
    return whole


def heading(text: str) -> None:
    say(f"\n{_bold(text)}")


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else f"== {text}"


def check(condition: bool, what: str, found: str = "") -> None:  # noqa: FBT001 - read as a sentence: check(x == y, "...")
    """One thing observed. Raises DemoFailed when it is not so."""
    proof.check(condition, what, found)


def say(text: str) -> None:
    proof.say(text)


if __name__ == "__main__":
    main()
