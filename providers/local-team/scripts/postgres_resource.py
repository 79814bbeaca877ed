"""The resource type `postgres`: a role and a database of its own on the PostgreSQL of this data directory."""

import json
import re
import secrets
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import psycopg
import step
from files import locked, name_for, read_text, write_private
from postgres_server import PostgresServer, Server
from psycopg import sql
from step import Failed, NotNow, Object

PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Account:
    """A role and its database, which bear the same name."""

    name: str
    password: str


def create(given: Object) -> Mapping[str, object]:
    """Role, database and settings; what a killed run left half made is completed, with the same password."""
    server = running()
    check_version(given, server)
    with credentials(given) as account, admin(server) as connection:
        check_extensions(connection, extensions_of(given))
        ensure_role(connection, account)
        ensure_database(connection, account.name)
        configure(connection, server, account.name, given)
    return outputs(server, account)


def update(given: Object) -> Mapping[str, object]:
    """Apply the settings; name, password and data stay."""
    return create(given)


def read(given: Object) -> Mapping[str, object]:
    """Start the server if it is down, then get in with the credentials that were given out."""
    server = running()
    told = step.previous_outputs(given)
    with credentials(given) as account:
        known = Account(name_of(given), str(told.get("password") or account.password))
    try:
        with connect(server, known.name, known.name, known.password) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        raise Failed(
            f"Database `{known.name}` is not usable with the credentials given out: {str(error).strip()} "
            f"Deploy the application again to repair it, or delete the resource if the database is gone for good."
        ) from None
    return outputs(server, known)


def delete(given: Object) -> Mapping[str, object]:
    """Drop the database with whoever is connected to it, and the role. What is gone already is fine."""
    name = name_of(given)
    if not (home() / "location").exists():
        return {}
    server = running()
    with locked(lock_file(name)), admin(server) as connection:
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(identifier))
        credentials_file(name).unlink(missing_ok=True)
    return {}


def home() -> Path:
    return step.provider_data() / "postgres"


def running() -> Server:
    return PostgresServer(home()).start()


def name_of(given: Object) -> str:
    """The name given out before, so that a resource keeps its database for life; else one made of its identity."""
    told = step.previous_outputs(given).get("database")
    if told is None:
        return name_for(step.resource_identity(given))
    if not (isinstance(told, str) and PLAIN_NAME.fullmatch(told)) or told in ("postgres", "template0", "template1"):
        raise Failed(f"The resource's earlier output `database` ({told!r}) is no name that this provider gives out.")
    return told


def credentials_file(name: str) -> Path:
    return home() / "accounts" / f"{name}.json"


def lock_file(name: str) -> Path:
    return home() / "accounts" / f"{name}.lock"


@contextmanager
def credentials(given: Object) -> Generator[Account]:
    """The account, locked against a second run; its password is on disk before PostgreSQL hears of it."""
    name = name_of(given)
    file = credentials_file(name)
    with locked(lock_file(name)):
        known = read_text(file)
        if known:
            password = str(cast("dict[str, Any]", json.loads(known))["password"])
        else:
            password = str(step.previous_outputs(given).get("password") or secrets.token_urlsafe(24))
            write_private(file, json.dumps({"password": password}))
        yield Account(name, password)


def connect(server: Server, database: str, user: str, password: str) -> "psycopg.Connection[tuple[Any, ...]]":
    return psycopg.connect(
        host=server.host, port=server.port, dbname=database, user=user, password=password,
        autocommit=True, connect_timeout=10, application_name="innominatus",
    )  # fmt: skip


def admin(server: Server, database: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
    return connect(server, database, server.user, server.password)


def ensure_role(connection: "psycopg.Connection[Any]", account: Account) -> None:
    """Make the role or reset its password; only a hash travels, so that no log can hold the password."""
    encrypted = connection.pgconn.encrypt_password(
        account.password.encode(), account.name.encode(), b"scram-sha-256"
    ).decode()
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [account.name]).fetchone()
    verb = sql.SQL("ALTER" if found else "CREATE")
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
            verb, sql.Identifier(account.name), sql.Literal(encrypted)
        )
    )


def ensure_database(connection: "psycopg.Connection[Any]", name: str) -> None:
    """Make the database, owned by its role and closed to every other one."""
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    identifier = sql.Identifier(name)
    if not found:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, identifier))
    connection.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(identifier))


def configure(connection: "psycopg.Connection[Any]", server: Server, name: str, given: Object) -> None:
    """Connection limit and extensions as the params say. Extensions are added, never removed: data may use them."""
    limit = int(given.get("connection_limit") or -1)
    connection.execute(
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(sql.Identifier(name), sql.Literal(limit))
    )
    if not (wanted := extensions_of(given)):
        return
    with admin(server, name) as inside:
        for extension in wanted:
            add_extension(inside, extension)


def extensions_of(given: Object) -> list[str]:
    return [str(extension) for extension in cast("list[object]", given.get("extensions") or [])]


def check_extensions(connection: "psycopg.Connection[Any]", wanted: list[str]) -> None:
    """Refuse what this server does not have. Only it knows that, so no plan could; but nothing is made before."""
    known = sorted(str(row[0]) for row in connection.execute("SELECT name FROM pg_available_extensions"))
    missing = [extension for extension in wanted if extension not in known]
    if not missing:
        return
    near = sorted({close for name in missing for close in get_close_matches(name, known)})
    meant = f" Did you mean {names(near)}?" if near else ""
    raise Failed(
        f"This PostgreSQL has no extension {names(missing)}.{meant} It has {names(known)}; "
        f"name others in the param `extensions`, or none."
    )


def add_extension(inside: "psycopg.Connection[Any]", extension: str) -> None:
    """One that is there may refuse all the same: it wants a setting of the server, or another extension first."""
    try:
        inside.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(extension)))
    except psycopg.Error as error:
        if inside.closed:
            raise
        raise Failed(
            f"The extension `{extension}` cannot be created on this PostgreSQL: {str(error).strip()} "
            f"Take it out of the param `extensions`, or name what it needs before it."
        ) from None


def names(listed: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in listed)


def check_version(given: Object, server: Server) -> None:
    """`version` asks for at least that major version."""
    wanted = str(given.get("version") or "").split(".")[0]
    if wanted and int(wanted) > server.version:
        raise Failed(f"PostgreSQL {wanted} is asked for; this provider runs {server.version}. Ask for that or less.")


def outputs(server: Server, account: Account) -> dict[str, object]:
    return {
        "host": server.host,
        "port": server.port,
        "name": account.name,
        "database": account.name,
        "username": account.name,
        "password": account.password,
    }


def patient(operation: Callable[[Object], Mapping[str, object]]) -> Callable[[Object], Mapping[str, object]]:
    """The operation, asking to be tried again when the server went away under it."""

    def attempt(given: Object) -> Mapping[str, object]:
        try:
            return operation(given)
        except psycopg.OperationalError as error:
            raise NotNow(f"PostgreSQL went away: {str(error).strip()}") from error

    return attempt


if __name__ == "__main__":
    step.run({operation.__name__: patient(operation) for operation in (create, update, read, delete)})
