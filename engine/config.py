"""All settings, read once by the composition root (`cli`) and passed down. Nothing else reads the environment."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

_POSTGRESQL = "postgresql+psycopg"
_NAMES_OF_REDIS = ("redis", "rediss", "unix")
_NAMES_OF_POSTGRESQL = ("postgres", "postgresql", _POSTGRESQL)


class Settings(BaseSettings):
    """Every setting has a default that works; each is set by `INNOMINATUS_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="INNOMINATUS_", env_ignore_empty=True, frozen=True, extra="ignore")

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("innominatus"),
        description="Where embedded mode keeps its database, keys, token, workspaces and the local providers' servers.",
    )
    database_url: str = Field(
        default="",
        description="The PostgreSQL that holds the state: `postgresql://user:password@host/database` (`postgres://` "
        "and `postgresql+psycopg://` mean the same); empty means SQLite in the data directory.",
    )
    redis_url: str = Field(
        default="",
        description="Redis that carries wake-ups and hints between processes on PostgreSQL (`redis://` or `rediss://`)"
        "; without it a process learns of others' work at its next sweep, and of what happened there once per second.",
    )
    engine: bool = Field(
        default=True, description="Whether `innominatus serve` has an engine inside; false where workers run."
    )
    wait_seconds: float = Field(
        default=30.0, ge=0, description="How long a start waits for the database server to answer."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on; beyond loopback only with a token set.")
    port: int = Field(default=8081, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    mcp_toolsets: str = Field(
        default="core",
        description="MCP tools that clients are offered at most: some of core,operate,author, or all. A client may ask "
        "for fewer with the header X-MCP-Toolsets.",
    )
    mcp_read_only: bool = Field(default=False, description="Offer no MCP tool that changes anything.")
    allowed_hosts: str = Field(default="", description="Further Host names to accept, separated by commas.")
    api_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token of the API; empty means the file `token` in the data directory.",
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""),
        description="Key that seals secrets at rest: 32 bytes in URL-safe base64; empty means the file `secret.key` "
        "in the data directory (embedded mode only).",
    )
    providers: str = Field(
        default="", description="Provider folders, separated by the path separator; empty means the shipped ones."
    )
    threads: int = Field(default=16, ge=1, le=512, description="Worker threads of the engine.")
    max_concurrent_per_application: int = Field(
        default=100, ge=1, description="Executions of one application that may run at the same time."
    )
    max_concurrent_workflows: int = Field(
        default=0,
        ge=0,
        description="Executions that may run at the same time over all workers; 0 means no limit. Waiting ones do not "
        "count. Every worker needs the same number.",
    )
    sweep_seconds: float = Field(default=5.0, gt=0, description="Seconds between two sweeps.")
    sweep_batch: int = Field(default=100, ge=1, description="Rows that one sweep repairs at most.")
    lease_seconds: float = Field(default=15.0, gt=0, description="How long a claim holds without a heartbeat.")
    grace_seconds: float = Field(default=10.0, ge=0, description="How long running steps may go on after a stop.")
    health_seconds: float = Field(
        default=60.0, ge=0, description="Seconds between health checks (read); 0 means never."
    )
    retention_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="Days after which the engine removes ended executions, logs and events by itself, a little at a "
        "time, as `innominatus prune` does at once; 0 means never.",
    )
    step_timeout_seconds: float = Field(default=1800.0, gt=0, description="Time of a step that declares none.")
    step_log_bytes: int = Field(default=1_000_000, ge=1000, description="Log kept per step attempt: head and tail.")
    step_output_bytes: int = Field(default=1_000_000, ge=1000, description="Largest outputs of one step.")
    artifact_bytes: int = Field(default=16_000_000, ge=1000, description="Largest artifacts of one step.")
    max_spec_bytes: int = Field(default=1_000_000, ge=1000, description="Largest Score document.")
    max_resources_per_spec: int = Field(default=1000, ge=1, description="Most resources in one Score document.")
    log_format: str = Field(
        default="auto", pattern="^(auto|json|console)$", description="Log format: auto|json|console."
    )
    log_level: str = Field(default="INFO", description="Log level.")

    @field_validator("database_url")
    @classmethod
    def _with_our_driver(cls, url: str) -> str:
        """Every name of PostgreSQL means the one driver there is. Only the scheme is told: a URL holds a password."""
        scheme, separator, rest = url.strip().partition("://")
        if separator and scheme.lower() in _NAMES_OF_POSTGRESQL:
            return f"{_POSTGRESQL}://{rest}"
        if not url.strip():
            return ""
        what = f"`{scheme}://`" if separator else "this"
        raise PydanticCustomError("database_url", "{what} is no URL of a PostgreSQL", {"what": what})

    @field_validator("redis_url")
    @classmethod
    def _of_redis(cls, url: str) -> str:
        """As the driver reads it, which raises where it is used. Only the cause is told: a URL holds a password."""
        url = url.strip()
        scheme = url.partition("://")[0] if "://" in url else ""
        if not url:
            return ""
        if scheme.lower() not in _NAMES_OF_REDIS:
            raise PydanticCustomError("redis_url", "this is no URL of a Redis: it begins with redis:// or rediss://")
        try:
            parts = urlsplit(url)
            whole = parts.port != 0 and (scheme.lower() == "unix" or re.fullmatch(r"/?\d*", parts.path))
        except ValueError:
            whole = False
        if not whole:
            hint = "redis://user:password@host:6379/0, with whatever is special in the password percent-encoded"
            raise PydanticCustomError("redis_url", "this is no URL of a Redis: write {hint}", {"hint": hint})
        return url

    @property
    def embedded(self) -> bool:
        """True when state is SQLite in the data directory: one engine, nothing to install."""
        return not self.database_url

    @property
    def sqlalchemy_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'innominatus.db'}"

    @property
    def provider_folders(self) -> tuple[Path, ...]:
        return tuple(Path(part) for part in self.providers.split(os.pathsep) if part)
