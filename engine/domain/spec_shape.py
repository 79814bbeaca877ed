"""The shape of a Score v1b1 document as one table, with the seed's dialect beside it. `spec_check` reads the table.

The rules are those of https://docs.score.dev/docs/score-specification/score-spec-reference/.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Text:
    """`must` completes "must be …" for a text that does not match; `words` are the only ones allowed."""

    pattern: re.Pattern[str] | None = None
    must: str = ""
    example: str = ""
    words: tuple[str, ...] = ()
    least: int = 0
    most: int | None = None
    scalars_in_dialect: bool = False
    """Numbers and booleans are taken as the text that was written, with a warning."""


@dataclass(frozen=True, slots=True)
class Whole:
    minimum: int
    maximum: int
    example: str


@dataclass(frozen=True, slots=True)
class Flag:
    pass


@dataclass(frozen=True, slots=True)
class Anything:
    pass


@dataclass(frozen=True, slots=True)
class Items:
    item: "Rule"
    example: str


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping whose keys are names of people's choice. `noun` is what one entry is."""

    noun: str
    value: "Rule"
    key: Text = Text()
    example: str = ""
    least: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """`dialect` marks a key that Score does not have: what to write instead. `ignored` ones have no effect at all."""

    rule: "Rule"
    required: bool = False
    dialect: str = ""
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys; an `open` one may hold others. `hints` tell what to do with certain unknown keys."""

    noun: str
    fields: Mapping[str, Field]
    open: bool = False
    exactly_one: tuple[str, ...] = ()
    at_least_one: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Either:
    """The rule that takes the value's type decides."""

    rules: tuple["Rule", ...]


Rule = Text | Whole | Flag | Anything | Items | Table | Record | Either

LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")
_LABEL_MUST = "2 to 63 of `a-z`, `0-9` and `-`, with no `-` at either end"
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,61}[A-Za-z0-9]")
_TYPE_MUST = "2 to 63 letters, digits and `-`, with no `-` at either end"
_ID = re.compile(r"(?=.{2,63}\Z)[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)*")
_HOST = r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9](?:\.[a-z0-9][a-z0-9-]{0,61}[a-z0-9])*"
_ANNOTATION = re.compile(rf"(?=.{{2,316}}\Z)(?:{_HOST}/)?[A-Za-z0-9][A-Za-z0-9._-]{{0,61}}[A-Za-z0-9]")
_MEMORY = re.compile(r"(?:0\.[0-9]+|[1-9][0-9]*(?:\.[0-9]+)?)(?:[KMGTPE]i?)?")
_CPU = re.compile(r"[0-9]+(?:m|\.[0-9]+)?")
DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w))+")

_label = Text(LABEL, _LABEL_MUST, "my-name")
_text = Text()
_filled = Text(least=1)
_port = Whole(1, 65535, "8080")
_annotations = Table(
    "annotation",
    _text,
    Text(
        _ANNOTATION, "a name of letters, digits, `-`, `_` and `.`, with an optional `host/` before it", "example.com/x"
    ),
    "annotations: {example.com/team: shop}",
)
_protocol = Text(words=("TCP", "UDP"))
_service_port = Record(
    "service port",
    {"port": Field(_port, required=True), "protocol": Field(_protocol), "targetPort": Field(_port)},
)
_service = Record(
    "`service`", {"ports": Field(Table("service port", _service_port, _label, "ports: {www: {port: 8080}}"))}
)
_amounts = Record(
    "`limits` or `requests`",
    {
        "memory": Field(Text(_MEMORY, "an amount of memory such as `128Mi` or `1.5G`", "128Mi")),
        "cpu": Field(Text(_CPU, "a number of CPUs such as `2`, `0.5` or `250m`", "250m")),
    },
)
_command = Items(_text, '["/bin/sh", "-c"]')
_header = Record(
    "HTTP header",
    {
        "name": Field(Text(re.compile(r"[A-Za-z0-9_-]+"), "letters, digits, `-` and `_`", "X-Probe"), required=True),
        "value": Field(_filled, required=True),
    },
)
_http_probe = Record(
    "`httpGet`",
    {
        "port": Field(_port, required=True),
        "path": Field(_text, required=True),
        "host": Field(_filled),
        "scheme": Field(Text(words=("HTTP", "HTTPS"))),
        "httpHeaders": Field(Items(_header, "[{name: X-Probe, value: yes}]")),
    },
)
_PROBE_TIMES = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold")
_probe = Record(
    "probe",
    {
        "httpGet": Field(_http_probe),
        "exec": Field(Record("`exec`", {"command": Field(_command, required=True)})),
        **{
            name: Field(Anything(), dialect="remove it: Score leaves the times of probes to the platform", ignored=True)
            for name in _PROBE_TIMES
        },
    },
    at_least_one=("httpGet", "exec"),
)
_FILE_FIELDS = {
    "mode": Field(Text(re.compile("0?[0-7]{3}"), 'an octal file mode in quotes such as "0644"', '"0644"')),
    "source": Field(_filled),
    "content": Field(_text),
    "binaryContent": Field(_text),
    "noExpand": Field(Flag()),
}
_FILE_SOURCES = ("content", "binaryContent", "source")
_MAPPED = {"target": "remove it: the key of the mapping is the target"}
_file = Record("file", _FILE_FIELDS, exactly_one=_FILE_SOURCES, hints=_MAPPED)
_listed_file = Record("file", {**_FILE_FIELDS, "target": Field(_filled)}, exactly_one=_FILE_SOURCES)
_VOLUME_FIELDS = {"source": Field(_text, required=True), "path": Field(_text), "readOnly": Field(Flag())}
_volume = Record("volume", _VOLUME_FIELDS, hints=_MAPPED)
_listed_volume = Record("volume", {**_VOLUME_FIELDS, "target": Field(_text)})
_before = Record("`before` entry", {"ready": Field(Text(words=("started", "healthy", "complete")), required=True)})

_variable = Text(scalars_in_dialect=True)
_variable_name = Text(re.compile("[^=]+", re.DOTALL), "a name without `=`", "PORT")
_variables = Table("variable", _variable, _variable_name, 'variables: {PORT: "8080"}')
_variable_item = Record(
    "`env` entry", {"name": Field(_variable_name, required=True), "value": Field(_variable, required=True)}
)
_dialect_port = Record(
    "container port",
    {
        "port": Field(_port, required=True),
        "name": Field(_label),
        "protocol": Field(_protocol),
        "targetPort": Field(_port),
    },
)
_container = Record(
    "container",
    {
        "image": Field(_filled, required=True),
        "command": Field(_command),
        "args": Field(_command),
        "variables": Field(_variables),
        "files": Field(
            Either((Table("file", _file, example='files: {/etc/app.conf: {content: "x"}}'), Items(_listed_file, "")))
        ),
        "volumes": Field(
            Either((Table("volume", _volume, example="volumes: {/data: {source: x}}"), Items(_listed_volume, "")))
        ),
        "before": Field(Table("container", _before, _label, "before: {main: {ready: started}}")),
        "resources": Field(
            Record("`resources` of a container", {"limits": Field(_amounts), "requests": Field(_amounts)})
        ),
        "livenessProbe": Field(_probe),
        "readinessProbe": Field(_probe),
        "env": Field(Either((_variables, Items(_variable_item, ""))), dialect="write `variables`"),
        "ports": Field(
            Items(Either((_dialect_port, _port)), "[{name: http, port: 80}]"),
            dialect="write `service: {ports: {http: {port: 80}}}` at the top",
        ),
    },
)
_params = Table("param", Anything(), example="params: {size: small}")
_resource_metadata = Record("`metadata` of a resource", {"annotations": Field(_annotations)}, open=True)
_resource = Record(
    "resource",
    {
        "type": Field(Text(_TYPE, _TYPE_MUST, "postgres"), required=True),
        "class": Field(Text(_TYPE, _TYPE_MUST, "default")),
        "id": Field(
            Text(
                _ID,
                "2 to 63 of `a-z`, `0-9`, `-` and `.`, each part starting and ending with one of `a-z0-9`",
                "shop.db",
            )
        ),
        "metadata": Field(_resource_metadata),
        "params": Field(_params),
        "properties": Field(_params, dialect="write `params`"),
    },
)
_environment_name = Text(LABEL, _LABEL_MUST, "staging")
_environment = Record(
    "`environment`",
    {
        "type": Field(_environment_name, required=True),
        "ttl": Field(Text(DURATION, "a duration such as `24h` or `7d`", "24h")),
    },
)
DOCUMENT = Record(
    "Score document",
    {
        "apiVersion": Field(Text(words=("score.dev/v1b1",)), required=True),
        "metadata": Field(
            Record(
                "`metadata`",
                {"name": Field(_label, required=True), "annotations": Field(_annotations)},
                open=True,
            ),
            required=True,
        ),
        "service": Field(_service),
        "containers": Field(
            Table("container", _container, _label, "containers: {main: {image: nginx}}", least=1), required=True
        ),
        "resources": Field(Table("resource", _resource, _label, "resources: {db: {type: postgres}}")),
        "environment": Field(
            Either((_environment_name, _environment)), dialect="name the environment when you submit the document"
        ),
        "workflows": Field(
            Anything(), dialect="remove it: workflows belong to providers and are never run from a spec", ignored=True
        ),
        "variables": Field(Anything(), dialect="remove it: set variables in each container", ignored=True),
    },
    hints={"kind": "remove it; a workflow belongs in a provider, not in a Score document"},
)
