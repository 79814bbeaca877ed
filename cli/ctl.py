"""`innominatus-ctl`: the platform from a terminal, over its REST door."""

import sys
from typing import Annotated

import typer

from cli.commands import admin, applications, catalog, deploy, events, resources, validate, workflows
from cli.session import Form, Session, arranged, form_asked, run, tell_version

app = typer.Typer(
    name="innominatus-ctl",
    help="Deploy Score specs, and see what exists, why, and what failed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 invalid input, 3 not found, 4 conflict, 5 no server, 6 denied.",
)


@app.callback()
def options(
    ctx: typer.Context,
    server: Annotated[
        str | None,
        typer.Option(help="The platform's address; INNOMINATUS_API_BASE, or the one running on this machine."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(help="The API token; INNOMINATUS_API_TOKEN, INNOMINATUS_API_KEY or IDP_API_KEY, or its file."),
    ] = None,
    output: Annotated[
        Form, typer.Option("--output", "-o", help="The form of the answer; with json and yaml, errors are JSON.")
    ] = Form.TABLE,
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=tell_version("innominatus-ctl"), is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    del version
    ctx.obj = Session(server, token, output)


app.command()(deploy.deploy)
app.command("list")(applications.listed)
app.command()(applications.status)
app.command()(applications.env)
app.command()(applications.delete)
app.command("graph-export")(applications.graph_export)
app.command()(applications.environments)
app.command("list-resources")(resources.listed)
app.add_typer(resources.verbs, name="resource", no_args_is_help=True)
app.command("list-workflows")(workflows.listed)
app.add_typer(workflows.verbs, name="workflow", no_args_is_help=True)
app.command()(workflows.logs)
app.command()(events.events)
app.command("list-goldenpaths")(workflows.golden_paths)
app.command("run")(workflows.run)
app.command()(catalog.providers)
app.command()(catalog.provider)
app.command()(catalog.stats)
app.command()(catalog.whoami)
app.command()(validate.validate)
app.add_typer(admin.verbs, name="admin", no_args_is_help=True)

_NOUNS = {
    noun: {command.name or getattr(command.callback, "__name__", "") for command in verbs.registered_commands}
    for noun, verbs in (("resource", resources.verbs), ("workflow", workflows.verbs))
}


def main() -> None:
    words = arranged(sys.argv[1:], _NOUNS)
    run(app, words, form=form_asked(words))


if __name__ == "__main__":
    main()
