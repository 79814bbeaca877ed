"""The resource type `redis`: a database and a user of its own on the Valkey of this data directory."""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import redis
import step
from files import locked, name_for, read_text, write_private
from step import Failed, NotNow, Object
from valkey_server import ADMIN, DATABASES, Server, ValkeyServer, connect

if TYPE_CHECKING:
    from redis import Redis

PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
COMMANDS = ("+@all", "-@admin", "-@dangerous", "+info", "+sort", "+keys", "+flushdb")
"""What an application may do inside its database; `keys` and `flushdb` are called dangerous but reach no other one."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user and the number of its database."""

    name: str
    password: str
    database: int


def create(given: Object) -> Mapping[str, object]:
    """Database number and user; a run that was killed half way is completed, with the same number and password."""
    server = running()
    name = name_of(given)
    with allocations() as accounts, admin(server) as client:
        if name not in accounts:
            accounts[name] = Account(name, secrets.token_urlsafe(24), free_database(accounts))
            save(accounts)
            with admin(server, accounts[name].database) as fresh:
                run(fresh, "FLUSHDB")
        ensure_user(client, accounts[name])
        return outputs(server, accounts[name])


def read(given: Object) -> Mapping[str, object]:
    """Start the server if it is down, then get in with the credentials that were given out."""
    server = running()
    name = name_of(given)
    told = step.previous_outputs(given)
    with allocations() as accounts:
        account = accounts.get(name)
    if account is None:
        raise Failed(f"Redis user `{name}` is gone. Deploy the application again to make a new, empty one.")
    account = Account(name, str(told.get("password") or account.password), account.database)
    try:
        with connect(server.port, account.name, account.password, database=account.database) as client:
            run(client, "PING")
    except redis.RedisError as error:
        raise Failed(
            f"Redis user `{name}` is not usable with the credentials given out: {error}. "
            f"Deploy the application again to repair it."
        ) from None
    return outputs(server, account)


def delete(given: Object) -> Mapping[str, object]:
    """Remove the user, whoever is connected as it, and its data. What is gone already is fine."""
    name = name_of(given)
    if not home().exists():
        return {}
    server = running()
    with allocations() as accounts, admin(server) as client:
        run(client, "ACL", "DELUSER", name)
        run(client, "ACL", "SAVE")
        account = accounts.pop(name, None)
        if account:
            with admin(server, account.database) as inside:
                run(inside, "FLUSHDB")
            save(accounts)
    return {}


def home() -> Path:
    return step.provider_data() / "valkey"


def running() -> Server:
    return ValkeyServer(home()).start()


def admin(server: Server, database: int = 0) -> "Redis":
    return connect(server.port, server.user, server.password, database=database)


def run(client: "Redis", *words: str) -> object:
    """One command, as its words."""
    return client.execute_command(*words)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - untyped in the client


def name_of(given: Object) -> str:
    """The user name given out before; else one made of the resource's identity."""
    told = step.previous_outputs(given).get("username")
    if told is None:
        return name_for(step.resource_identity(given))
    if not (isinstance(told, str) and PLAIN_NAME.fullmatch(told)) or told in (ADMIN, "default"):
        raise Failed(f"The resource's earlier output `username` ({told!r}) is no name that this provider gives out.")
    return told


@contextmanager
def allocations() -> Generator[dict[str, Account]]:
    """Who has which database, locked against other runs. `save` keeps a change."""
    with locked(home() / "accounts.lock"):
        text = read_text(home() / "accounts.json")
        stored = cast("dict[str, dict[str, Any]]", json.loads(text)) if text else {}
        yield {name: Account(name, str(entry["password"]), int(entry["database"])) for name, entry in stored.items()}


def save(accounts: Mapping[str, Account]) -> None:
    write_private(home() / "accounts.json", json.dumps({name: asdict(account) for name, account in accounts.items()}))


def free_database(accounts: Mapping[str, Account]) -> int:
    """The lowest free number. 0 is nobody's: clients that forget to choose must not meet there."""
    taken = {account.database for account in accounts.values()}
    for number in range(1, DATABASES):
        if number not in taken:
            return number
    raise Failed(f"All {DATABASES - 1} databases of this Valkey are in use. Delete a redis resource first.")


def ensure_user(client: "Redis", account: Account) -> None:
    """Set the user's rights from nothing: any key and its own channels, in its own database only."""
    digest = hashlib.sha256(account.password.encode()).hexdigest()
    rights = ("~*", f"&{account.name}:*", *COMMANDS, f"db={account.database}")
    run(client, "ACL", "SETUSER", account.name, "reset", "on", f"#{digest}", *rights)
    run(client, "ACL", "SAVE")


def outputs(server: Server, account: Account) -> dict[str, object]:
    return {
        "host": server.host,
        "port": server.port,
        "username": account.name,
        "password": account.password,
        "database": account.database,
    }


def patient(operation: Callable[[Object], Mapping[str, object]]) -> Callable[[Object], Mapping[str, object]]:
    """The operation, asking to be tried again when the server went away under it."""

    def attempt(given: Object) -> Mapping[str, object]:
        try:
            return operation(given)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise NotNow(f"Valkey went away: {error}") from error

    return attempt


if __name__ == "__main__":
    operations = {"create": create, "update": create, "read": read, "delete": delete}
    step.run({name: patient(operation) for name, operation in operations.items()})
