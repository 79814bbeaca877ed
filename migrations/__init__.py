"""The database's history. Nothing here imports the engine: a migration means the same for ever."""
