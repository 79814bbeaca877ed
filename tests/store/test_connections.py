"""Connections that are not to be had."""

import pytest
import sqlalchemy as sa

from engine.store.away import DatabaseAway
from engine.store.database import Store
from engine.store.sealing import Sealer
from tests.support.platforms import KEY


def test_that_no_connection_is_free_counts_as_a_database_that_is_away(database_url: str) -> None:
    store = Store(sa.create_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=0.01), Sealer(KEY))
    with store.read():
        with pytest.raises(DatabaseAway), store.begin():
            raise AssertionError
        with pytest.raises(DatabaseAway), store.read():
            raise AssertionError
    with store.begin():
        pass
    store.close()
