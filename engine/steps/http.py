"""`http`: one request to a web API, its answer judged and read into outputs."""

import json
import re
from typing import Annotated, ClassVar, Final, Literal, Self
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, JsonValue, model_validator

from engine.domain.values import Json, JsonObject
from engine.errors import quoted
from engine.steps.base import RetryLater, StepConfig, StepContext, StepFailed, StepResult
from engine.steps.fields import Seconds, Text, as_config, refused
from engine.steps.outputs import from_json
from engine.steps.web import Answer, WebAddress, fetch, shown

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LATER: Final = frozenset({408, 425, 429, *range(500, 600)})
_SECRET_HEADER = re.compile(r"authori[sz]ation|cookie|token|secret|key|password", re.IGNORECASE)
_PUBLIC_HEADERS: Final = frozenset({"idempotency-key"})
_LONGEST_WAIT: Final = 3600.0
_HEADER_NAME: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


def _as_list(value: object) -> object:
    return [value] if isinstance(value, int | str) and not isinstance(value, bool) else value


def _header_value(value: str) -> str:
    if "\r" in value or "\n" in value:
        raise refused("holds a line break, which would begin another header", "remove it")
    return value


HeaderName = Annotated[str, Field(pattern=_HEADER_NAME)]
HeaderValue = Annotated[Text, AfterValidator(_header_value)]
Method = Annotated[
    Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]
Status = Annotated[Text, Field(pattern=r"^[1-5]([0-9][0-9]|xx)$")]


class HttpConfig(StepConfig):
    url: WebAddress
    method: Method = "GET"
    query: dict[str, Text] = Field(default_factory=dict[str, str], description="Query parameters, encoded for you.")
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict[str, str], description="Headers; those that look like credentials are masked."
    )
    body: Text | None = Field(default=None, description="The body as text.")
    json_body: JsonValue = Field(default=None, alias="json", description="The body as JSON.")
    expect: Annotated[tuple[Status, ...], BeforeValidator(_as_list), Field(min_length=1)] = Field(
        default=("2xx",), description="Statuses that mean success: `200`, `2xx`, or a list of them."
    )
    outputs: dict[str, Text] = Field(
        default_factory=dict[str, str],
        description="Output name → path into the JSON answer, e.g. `data.items.0.id`; `.` is all of it.",
    )
    timeout: Seconds = Field(default=30.0, description="Seconds until the answer must be complete.")
    verify: bool = Field(default=True, description="Check the server's certificate.")

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.body is not None and "json_body" in self.model_fields_set:
            raise refused("`body` and `json` exclude each other", "keep one of them")
        return self


class HttpExecutor:
    step_type: ClassVar[str] = "http"
    Config: ClassVar[type[BaseModel]] = HttpConfig
    idempotent: ClassVar[bool] = False
    script_fields: ClassVar[frozenset[str]] = frozenset()

    @staticmethod
    def only_looks(config: JsonObject) -> bool:
        return str(config.get("method", "GET")).upper() in _READING

    def run(self, context: StepContext) -> StepResult:
        config = as_config(context, HttpConfig)
        _mask_credentials(context, config)
        context.log(f"{config.method} {shown(config.url)}")
        answer = fetch(
            context,
            method=config.method,
            url=_with_query(config),
            headers=_headers(context, config),
            body=_body(config),
            timeout=config.timeout,
            verify=config.verify,
        )
        context.log(f"{answer.status}, {len(answer.body)} bytes")
        _judge(config, answer)
        outputs: JsonObject = {"status": answer.status}
        if config.outputs:
            document = from_json(answer.text, f"The answer of {shown(config.url)}")
            outputs.update({name: _at(document, path, name) for name, path in config.outputs.items()})
        return StepResult(outputs=outputs)


def _mask_credentials(context: StepContext, config: HttpConfig) -> None:
    for name, value in config.headers.items():
        if _SECRET_HEADER.search(name) and name.lower() not in _PUBLIC_HEADERS:
            context.add_mask(value)
            _scheme, _, credentials = value.partition(" ")
            context.add_mask(credentials)


def _with_query(config: HttpConfig) -> str:
    if not config.query:
        return config.url
    address, mark, fragment = config.url.partition("#")
    return f"{address}{'&' if '?' in address else '?'}{urlencode(config.query)}{mark}{fragment}"


def _headers(context: StepContext, config: HttpConfig) -> dict[str, str]:
    """The declared headers, and those that a server can use to tell a repeated request and read the body."""
    headers = {name.lower(): value for name, value in config.headers.items()}
    if config.method not in _READING:
        headers.setdefault("idempotency-key", context.idempotency_key)
    if "json_body" in config.model_fields_set:
        headers.setdefault("content-type", "application/json")
    return headers


def _body(config: HttpConfig) -> bytes | None:
    if "json_body" in config.model_fields_set:
        return json.dumps(config.json_body, ensure_ascii=False).encode("utf-8", "replace")
    return None if config.body is None else config.body.encode("utf-8", "replace")


def _judge(config: HttpConfig, answer: Answer) -> None:
    status = str(answer.status)
    if any(want in (status, f"{status[0]}xx") for want in config.expect):
        return
    message = f"{config.method} {shown(config.url)} answered {status}, expected {', '.join(config.expect)}"
    excerpt = answer.excerpt()
    message += f": {excerpt}" if excerpt else "."
    reason = f"http_{answer.status}"
    if answer.status in _LATER:
        raise RetryLater(message, after=_retry_after(answer), reason=reason)
    if 300 <= answer.status < 400 and "location" in answer.headers:
        hint = f"It redirects to {shown(answer.headers['location'])}: put that under `url`."
        raise StepFailed(message, hint=hint, reason=reason)
    raise StepFailed(message, reason=reason)


def _retry_after(answer: Answer) -> float:
    """The seconds that the server asks for; its other form, a date, is not worth a clock."""
    told = answer.headers.get("retry-after", "")
    return min(float(told), _LONGEST_WAIT) if re.fullmatch(r"[0-9]{1,9}", told) else 0.0


def _at(document: Json, path: str, name: str) -> Json:
    """The value at a dotted path. StepFailed says how far the path goes and what is there."""
    value = document
    parts = [part for part in path.split(".") if part]
    for number, part in enumerate(parts):
        where = f"`{'.'.join(parts[:number]) or '.'}`"
        match value:
            case dict() if part in value:
                value = value[part]
            case list() if part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            case dict():
                raise StepFailed(
                    f"The answer has no `{path}` (output `{name}`): {where} has no key `{part}`.",
                    hint=f"Its keys: {quoted(sorted(value)[:20])}." if value else "It is an empty object.",
                )
            case list():
                raise StepFailed(
                    f"The answer has no `{path}` (output `{name}`): {where} is a list of {len(value)}, not `{part}`."
                )
            case _:
                raise StepFailed(f"The answer has no `{path}` (output `{name}`): {where} is a plain value.")
    return value
