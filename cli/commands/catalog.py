"""What the platform offers and who is asking: providers, provider, stats, whoami."""

from typing import Annotated

import typer

from cli.commands.applications import quote
from cli.session import print_fields, print_table, say, session_of
from cli.text import as_object, as_objects, as_text, shown
from engine.domain.values import Json, JsonObject


def providers(ctx: typer.Context) -> None:
    """List providers with the resource types they make."""
    session = session_of(ctx)
    with session.api() as api:
        items = as_objects(api.get("/api/providers").get("items"))
    columns = ("name", "version", "resource_types", "golden_paths", "description")
    session.show(
        [*items],
        lambda: print_table(
            [name.replace("_", " ") for name in columns],
            [[_words(item.get(name)) for name in columns] for item in items],
            empty="No providers.",
        ),
    )


def _words(value: Json) -> Json:
    return ", ".join(shown(item) for item in value) if isinstance(value, list) else value


def provider(ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Show a provider: resource types with their operations and params, and workflows."""
    session = session_of(ctx)
    with session.api() as api:
        found = api.get(f"/api/providers/{quote(name)}")
    session.show(found, lambda: _print(found))


def _print(found: JsonObject) -> None:
    print_fields({key: found.get(key) for key in ("name", "version", "category", "description", "digest")})
    say()
    kinds = as_objects(found.get("resource_types"))
    print_table(
        ("type", "operations", "outputs", "description"),
        [
            [
                kind.get("type"),
                ", ".join(as_object(kind.get("operations"))),
                ", ".join(as_text(output.get("name")) for output in as_objects(kind.get("outputs"))),
                kind.get("description"),
            ]
            for kind in kinds
        ],
        empty="No resource types.",
    )
    say()
    if params := [row for kind in kinds for row in _params(kind)]:
        print_table(("type", "param", "value", "required", "description"), params)
        say()
    columns = ("name", "category", "operation", "description")
    workflows = as_objects(found.get("workflows"))
    print_table(("workflow", *columns[1:]), [[item.get(key) for key in columns] for item in workflows])


def _params(kind: JsonObject) -> list[list[Json]]:
    """The top level of the JSON Schema of a type's params, a row for each."""
    schema = as_object(kind.get("params"))
    needed = schema.get("required")
    names = needed if isinstance(needed, list) else []
    return [
        [
            kind.get("type"),
            name,
            _form(as_object(said)),
            "yes" if name in names else "",
            as_object(said).get("description"),
        ]
        for name, said in as_object(schema.get("properties")).items()
    ]


def _form(declared: JsonObject) -> str:
    """`string (small/large) = small`."""
    choices = declared.get("enum")
    listed = f" ({'/'.join(shown(choice) for choice in choices)})" if isinstance(choices, list) else ""
    default = f" = {_literal(declared['default'])}" if "default" in declared else ""
    return f"{_words(declared.get('type')) or 'any'}{listed}{default}"


def _literal(value: Json) -> str:
    """As a spec writes it: `true`, not `yes`."""
    return str(value).lower() if isinstance(value, bool) else shown(value)


def stats(ctx: typer.Context) -> None:
    """Count what there is."""
    session = session_of(ctx)
    with session.api() as api:
        found = api.get("/api/stats")
    session.show(found, lambda: print_fields({name: _counts(value) for name, value in found.items()}))


def _counts(value: Json) -> Json:
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(count)}" for name, count in value.items()) or "none"
    return value


def whoami(ctx: typer.Context) -> None:
    """Say which server this is and as whom it knows you."""
    session = session_of(ctx)
    with session.api() as api:
        found: JsonObject = {"server": api.url, **api.get("/api/auth/whoami")}
    session.show(found, lambda: print_fields(found))
