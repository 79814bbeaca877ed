"""The PostgreSQL that other tests stand on."""

import psycopg
from psycopg import sql

from tests.support.postgres import PostgresServer


def test_every_test_gets_a_database_of_its_own(postgres_server: PostgresServer, postgres_database: str) -> None:
    other = postgres_server.database_url()
    assert other != postgres_database
    name = postgres_database.rpartition("/")[2]
    with psycopg.connect(postgres_server.conninfo(name)) as connection:
        row = connection.execute("SELECT current_database(), current_setting('server_encoding')").fetchone()
    assert row == (name, "UTF8")


def test_a_database_can_be_copied_from_a_prepared_one(postgres_server: PostgresServer) -> None:
    prepared = postgres_server.database_url().rpartition("/")[2]
    with psycopg.connect(postgres_server.conninfo(prepared)) as connection:
        connection.execute("CREATE TABLE seen (word text)")
        connection.execute("INSERT INTO seen VALUES ('yes')")
    copy = postgres_server.database_url(template=prepared).rpartition("/")[2]
    with psycopg.connect(postgres_server.conninfo(copy)) as connection:
        assert connection.execute(sql.SQL("SELECT word FROM seen")).fetchone() == ("yes",)
