"""`innominatus`: the platform's processes. Heavy imports wait until a command needs them."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Yes
from cli.session import print_fields, run, say, tell_version
from cli.text import as_object, shown

if TYPE_CHECKING:
    from engine.config import Settings
    from engine.domain.values import JsonObject

app = typer.Typer(
    name="innominatus",
    help="An MCP-first platform orchestrator: Score specs in, real resources out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
mcp_app = typer.Typer(help="MCP over stdio, for Claude Desktop and other clients.")
local_app = typer.Typer(help="The database servers on this machine that the provider local-team runs.")
app.add_typer(mcp_app, name="mcp")
app.add_typer(local_app, name="local", no_args_is_help=True)

DataDir = Annotated[Path | None, typer.Option(help="The data directory; INNOMINATUS_DATA_DIR.")]
Toolsets = Annotated[
    str | None, typer.Option(help="MCP tools: some of core,operate,author, or all; INNOMINATUS_MCP_TOOLSETS.")
]
ReadOnly = Annotated[
    bool | None, typer.Option("--read-only", help="No MCP tool that changes anything; INNOMINATUS_MCP_READ_ONLY.")
]
Server = Annotated[str | None, typer.Option(help="Reach this platform instead; INNOMINATUS_API_BASE.")]


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=tell_version("innominatus"), is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def _settings(data_dir: Path | None, **given: object) -> "Settings":
    from cli.settings import read_settings

    return read_settings(data_dir=data_dir.absolute() if data_dir else None, **given)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; INNOMINATUS_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one; INNOMINATUS_PORT.")] = None,
    data_dir: DataDir = None,
    toolsets: Toolsets = None,
    *,
    read_only: ReadOnly = None,
    engine: Annotated[
        bool | None, typer.Option("--engine/--no-engine", help="Run executions here too; INNOMINATUS_ENGINE.")
    ] = None,
    show_token: Annotated[bool, typer.Option("--show-token", help="Print the API token.")] = False,
) -> None:
    """Serve REST and MCP on one port, with the engine inside unless workers run it."""
    from cli import serving

    offered = {"mcp_toolsets": toolsets, "mcp_read_only": read_only}
    serving.serve(_settings(data_dir, host=host, port=port, engine=engine, **offered), show_token=show_token)


@mcp_app.callback(invoke_without_command=True)
def mcp(
    ctx: typer.Context,
    data_dir: DataDir = None,
    server: Server = None,
    toolsets: Toolsets = None,
    *,
    read_only: ReadOnly = None,
) -> None:
    """Speak MCP over stdio: be the engine, or forward to the one that runs already."""
    if ctx.invoked_subcommand is None:
        import gc

        # Importing makes objects that stay: collecting while at it costs a fifth of the time until the first answer.
        gc.disable()
        from cli import lean

        lean.without_colours()
        lean.import_protocol()
        from cli import stdio

        base = server or os.environ.get("INNOMINATUS_API_BASE")
        settings = _settings(data_dir, mcp_toolsets=toolsets, mcp_read_only=read_only)
        stdio.run(settings, server=base, token=os.environ.get("INNOMINATUS_API_KEY"))


@mcp_app.command()
def config(data_dir: DataDir = None, server: Server = None) -> None:
    """Print the JSON to paste into Claude Desktop's configuration."""
    from cli import stdio

    say(json.dumps(stdio.client_config(_settings(data_dir), server=server), indent=2))


@app.command()
def worker(
    threads: Annotated[
        int | None, typer.Option(min=1, max=512, help="Executions at once in each process; INNOMINATUS_THREADS.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes, each with its own threads.")] = 1,
    data_dir: DataDir = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether so many processes of this machine are at work.")
    ] = False,
) -> None:
    """Run the engine without doors, beside others on one PostgreSQL (INNOMINATUS_DATABASE_URL)."""
    settings = _settings(data_dir, threads=threads)
    if check:
        from cli import pulse

        say(pulse.check(settings.data_dir, processes=processes))
        return
    from cli import working

    given = ["--threads", str(settings.threads), "--data-dir", str(settings.data_dir)]
    working.work(settings, processes=processes, arguments=given)


@app.command()
def migrate(
    data_dir: DataDir = None,
    down: Annotated[
        str | None, typer.Option(metavar="REVISION", help="Go back to a version; `base` drops all.")
    ] = None,
    *,
    status: Annotated[bool, typer.Option("--status", help="Only say which version there is.")] = False,
) -> None:
    """Bring the database's tables to this version."""
    from cli import migrating

    settings = _settings(data_dir)
    if not status:
        migrating.migrate(settings, down=down)
    print_fields(migrating.status(settings))


@app.command()
def prune(
    older_than: Annotated[str, typer.Option(metavar="TIME", help="Age from which things go: `90d`, `12h`.")],
    data_dir: DataDir = None,
    *,
    batch: Annotated[int, typer.Option(min=1, max=2000, help="Rows that one transaction looks at.")] = 500,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count; remove nothing.")] = False,
    yes: Yes = False,
) -> None:
    """Remove old executions, logs, events and what else nobody needs; safe beside running engines.

    What is unfinished stays, and the newest execution of each resource and of each golden path.
    It counts and asks first; with --yes it does neither.
    """
    from cli import pruning
    from cli.plans import agree

    settings, what = _settings(data_dir), pruning.plan(older_than=older_than, batch=batch)
    if yes and not dry_run:
        say(f"Removing what is {what.cut_off}.")
    else:
        counts = what.counts(settings)
        say(f"Would be removed, {what.cut_off}:")
        _print_counts(counts)
        if dry_run or not any(counts.values()):
            return
        agree("Remove them for good?")
    removed = what.remove(settings)
    say("Removed:")
    _print_counts(removed)


def _print_counts(counts: dict[str, int]) -> None:
    print_fields({f"  {name.replace('_', ' ')}": str(count) for name, count in counts.items()})


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; there must be none of that name.")],
    data_dir: DataDir = None,
) -> None:
    """Copy the database of a data directory into one file, also while the platform runs."""
    from cli import backing_up

    settings = _settings(data_dir)
    backing_up.save(settings, file)
    say(f"The database is in {file}.")
    if not settings.secret_key.get_secret_value():
        say(f"Keep {settings.data_dir / 'secret.key'} too, at another place: its secrets cannot be read without.")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `innominatus backup` wrote.")],
    data_dir: DataDir = None,
    *,
    yes: Yes = False,
) -> None:
    """Put a backup in the place of the database of a data directory. The platform must be stopped."""
    from cli import backing_up
    from cli.plans import agree

    settings = _settings(data_dir)
    if not yes:
        agree(f"Replace the database in {settings.data_dir}?")
    kept = backing_up.restore(settings, file)
    say(f"The database of {settings.data_dir} is the one in {file}.")
    if kept is not None:
        say(f"The one before is now {kept}; remove it when you need it no more.")


@local_app.command("status")
def local_status(data_dir: DataDir = None) -> None:
    """Say which servers run for the data directory."""
    from cli import local_servers

    found = local_servers.run("status", _settings(data_dir).data_dir)
    for name, server in found.items():
        say(f"{name}  {_how(as_object(server))}")
    if not found:
        say(_NO_SERVERS)


_NO_SERVERS = "No servers were made for this data directory."


def _how(server: "JsonObject") -> str:
    pid, port = server.get("pid"), server.get("port")
    return f"running, pid {shown(pid)}, port {shown(port)}" if pid else "stopped"


@local_app.command("stop")
def local_stop(data_dir: DataDir = None) -> None:
    """Stop the servers; their data stays, and they come back when something needs them."""
    from cli import local_servers

    found = local_servers.run("stop", _settings(data_dir).data_dir)
    for name, server in found.items():
        say(f"{name}  " + ("stopped" if as_object(server).get("stopped") else "was not running"))
    if not found:
        say(_NO_SERVERS)


@local_app.command("purge")
def local_purge(data_dir: DataDir = None, *, yes: Yes = False) -> None:
    """Stop the servers and remove their data for good, also what lies outside the data directory."""
    from cli import local_servers
    from cli.plans import agree

    def ask(found: "JsonObject") -> None:
        say("This stops these servers and removes their data for good:")
        for name, server in found.items():
            folders = as_object(server).get("folders")
            say(f"  {name}  {_how(as_object(server))}")
            for folder in folders if isinstance(folders, list) else []:
                say(f"    {shown(folder)}")
        if not yes:
            agree("Remove them?")

    found = local_servers.purge(_settings(data_dir).data_dir, agree=ask)
    for name in found:
        say(f"{name}  removed")
    if not found:
        say(_NO_SERVERS)


def main() -> None:
    run(app, sys.argv[1:])


if __name__ == "__main__":
    main()
