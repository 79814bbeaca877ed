"""The reference of the doors: MCP tools, REST routes, command lines."""

import json
from collections.abc import Iterator, Mapping, Sequence

from mcp_types import Tool
from starlette.routing import WebSocketRoute
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from cli.exits import as_document
from cli.reference_schema import COLUMNS, as_schema, rows
from cli.reference_text import block, code, page, sentence, table
from cli.text import as_object, as_objects, as_text
from engine.domain.values import Json, JsonObject
from engine.errors import Invalid, Problem
from mcp_server.toolsets import TOOLS

_EVERYWHERE = frozenset({"--help", "--install-completion", "--show-completion"})
_METHODS = ("get", "post", "put", "patch", "delete")


def mcp(tools: Sequence[Tool], instructions: str) -> str:
    """Every tool with its arguments and what it answers."""
    intro = (
        "What a model can call, over stdio (`innominatus mcp`) and at `/mcp` over streamable HTTP. Every answer is "
        "structured; lists are tables (`columns`, `rows`), `next` names calls that make sense now, and a refusal is an "
        "`error` with a code, a sentence, every problem and a hint. Secrets are shown as `***`."
    )
    chosen = (
        "A client is offered the ten tools of the toolset `core`. `--toolsets core,operate,author` (or "
        "`INNOMINATUS_MCP_TOOLSETS`) adds others, `--read-only` takes away what changes things. What the server was "
        "started with is the most that any client gets; over HTTP a client asks for less with the headers "
        "`X-MCP-Toolsets` and `X-MCP-Readonly`."
    )
    told = "A model is told once, before it calls anything:\n\n" + "\n".join(
        f"> {line}" for line in instructions.splitlines()
    )
    return page("MCP tools", intro, chosen, told, *(_tool(tool) for tool in tools))


def _tool(tool: Tool) -> str:
    changes = tool.annotations is not None and not tool.annotations.read_only_hint
    answer = as_object(as_schema(tool.output_schema or {}).get("properties"))
    arguments = table(("Argument", *COLUMNS[1:]), rows(as_schema(tool.input_schema)))
    return "\n\n".join(
        [
            f"## {tool.name}",
            sentence(tool.description or ""),
            f"Toolset `{TOOLS[tool.name].toolset}`. " + ("Changes things." if changes else "Only reads."),
            arguments or "No arguments.",
            f"Answers with {', '.join(code(name) for name in answer)}.",
        ]
    )


def rest(openapi: JsonObject, sockets: Sequence[WebSocketRoute]) -> str:
    """Every route with its parameters and answers, by noun; then the WebSockets, which OpenAPI has no words for."""
    info = as_object(openapi.get("info"))
    intro = sentence(as_text(info.get("description")).partition("\n")[0])
    rules = [sentence(line) for line in as_text(info.get("description")).split("\n\n")[1:]]
    access = (
        "Send `Authorization: Bearer TOKEN` or `X-API-Key: TOKEN`; "
        "`/`, `/health`, `/ready`, `/metrics` and `/docs` need none. "
        "A running platform shows the same, with every field of every answer, at `/docs` and `/openapi.json`. "
        "`/mcp` is the [MCP door](mcp.md)."
    )
    sections = [_noun(tag, openapi) for tag in as_objects(openapi.get("tags"))]
    how = "What they send, and how a page opens one: [follow what happens](../how-to/follow-what-happens.md)."
    live = [f"### WS {route.path.replace(':int', '')}\n\n{sentence(route.endpoint.__doc__ or '')}" for route in sockets]
    return page("REST API", intro, *rules, access, *sections, "## WebSockets", how, *live)


def _noun(tag: JsonObject, openapi: JsonObject) -> str:
    name = as_text(tag.get("name"))
    known = as_object(as_object(openapi.get("components")).get("schemas"))
    routes = [_route(*route, known) for route in _routes(openapi) if _owner(route[2]) == name]
    return "\n\n".join([f"## {name.capitalize()}", as_text(tag.get("description")), *routes])


def _owner(operation: JsonObject) -> str:
    """The last tag: the noun that a route of several belongs to."""
    tags = operation.get("tags")
    return as_text(tags[-1]) if isinstance(tags, list) and tags else ""


def _routes(openapi: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    for path, operations in as_object(openapi.get("paths")).items():
        for method in _METHODS:
            if method in as_object(operations):
                yield method.upper(), path, as_object(as_object(operations)[method])


def _named(schema: Json, known: JsonObject) -> Json:
    """The schema with the component that it refers to in its place: parameters refer only to lists of words."""
    if isinstance(schema, list):
        return [_named(one, known) for one in schema]
    if not isinstance(schema, dict):
        return schema
    target = as_text(schema.get("$ref")).rpartition("/")[2]
    return {
        **as_object(known.get(target)),
        **{key: _named(value, known) for key, value in schema.items() if key != "$ref"},
    }


def _route(method: str, path: str, operation: JsonObject, known: JsonObject) -> str:
    parameters = [
        (
            code(as_text(one.get("name"))),
            as_text(one.get("in")),
            *rows(
                {
                    "properties": {"x": _named(one.get("schema"), known)},
                    "required": ["x"] if one.get("required") else [],
                }
            )[0][1:3],
            sentence(as_text(one.get("description"))),
        )
        for one in as_objects(operation.get("parameters"))
    ]
    said = sentence(as_text(operation.get("description")) or as_text(operation.get("summary")) + ".")
    bodies = ", ".join(code(kind) for kind in as_object(as_object(operation.get("requestBody")).get("content")))
    answers = " or ".join(sorted(status for status in as_object(operation.get("responses")) if status[0] == "2"))
    return "\n\n".join(
        part
        for part in (
            f"### {method} {path}",
            said,
            table(("Parameter", "In", *COLUMNS[1:]), parameters),
            f"Body: {bodies}." if bodies else "",
            f"Answers {answers}.",
        )
        if part
    )


def command_lines(programs: Mapping[str, TyperGroup], exits: Mapping[str, int]) -> str:
    """Every command with its arguments and options."""
    intro = "`innominatus` runs the platform on this machine; `innominatus-ctl` talks to a running one over REST."
    codes = table(("Code", "Meaning"), [(str(number), meaning) for meaning, number in exits.items()])
    sections = [_program(name, group) for name, group in programs.items()]
    return page("Command lines", intro, *sections, "## Errors", *_errors(), "## Exit codes", codes)


def _errors() -> tuple[str, ...]:
    example = Problem("unknown_key", "containers.web", "Unknown key `imgae`", "Did you mean `image`?", line=5, column=5)
    told = as_document(Invalid("The Score spec has 1 problem.", [example], code="invalid_spec"))
    rules = (
        "An error is told on standard error, in words; standard output holds the answer alone. With `-o json` or "
        "`-o yaml` the error is one line of JSON there, the last one, wrong usage included; `code` is stable, `hint` "
        "says what to do, and `problems` lists everything that is wrong with an input, each with its place. "
        "Spread over several lines:"
    )
    waited = (
        "A deployment or run that was waited for and ended as failed is an answer, not an error: it stands on "
        "standard output with its `status`, and the exit code is 1."
    )
    return rules, block(json.dumps(told, indent=2), "json"), waited


def _program(name: str, group: TyperGroup) -> str:
    commands = [_command(path, command) for path, command in _commands(name, group)]
    return "\n\n".join(part for part in (f"## {name}", sentence(group.help or ""), _options(group), *commands) if part)


def _commands(path: str, group: TyperGroup) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            if command.invoke_without_command:
                yield f"{path} {name}", command
            yield from _commands(f"{path} {name}", command)
        elif isinstance(command, TyperCommand) and not command.hidden:
            yield f"{path} {name}", command


def _command(path: str, command: TyperCommand | TyperGroup) -> str:
    arguments = [parameter for parameter in command.params if isinstance(parameter, TyperArgument)]
    words = " ".join([path, *(_placeholder(argument) for argument in arguments)])
    callback = command.callback.__doc__ if isinstance(command, TyperGroup) and command.callback else None
    described = [(code(_placeholder(one)), one.help or "") for one in arguments if one.help]
    parts = (
        f"### {words}",
        sentence(callback or command.help or ""),
        table(("Argument", "Meaning"), described),
        _options(command),
    )
    return "\n\n".join(part for part in parts if part)


def _placeholder(argument: TyperArgument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _options(command: TyperCommand | TyperGroup) -> str:
    found = [
        (_spelled(option), _shown(option.default), option.help or "")
        for option in command.params
        if isinstance(option, TyperOption) and not _EVERYWHERE & set(option.opts)
    ]
    return table(("Option", "Default", "Meaning"), found)


def _spelled(option: TyperOption) -> str:
    value = "" if option.is_flag else f" {option.metavar or (option.name or '').upper().rstrip('_')}"
    return code(", ".join(option.opts) + value)


def _shown(default: object) -> str:
    if default in (None, "", False) or callable(default):
        return ""
    return code(getattr(default, "value", default))
