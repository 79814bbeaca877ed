"""Alembic's entry. `engine.store.schema` opens the connection and the transaction; migrations run inside them."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("Migrations run through `innominatus migrate`, not through the `alembic` command.")

context.configure(connection=connection, target_metadata=None)
context.run_migrations()
