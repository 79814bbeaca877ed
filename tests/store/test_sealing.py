"""Sealed values: opened with the right key and in the right place only."""

import stat
from pathlib import Path

import pytest

from engine.domain.runs import Outputs
from engine.domain.values import Json
from engine.errors import Invalid, Unavailable
from engine.store import executions
from engine.store.database import Store, open_engine
from engine.store.executions import NewExecution
from engine.store.sealing import Sealer, key_from_file, parse_key
from tests.support.platforms import KEY


def test_another_key_is_told_as_such() -> None:
    sealed = Sealer(KEY).seal(b"x", "a.b")
    with pytest.raises(Unavailable) as told:
        Sealer(bytes(32)).open(sealed, "a.b")
    assert told.value.code == "wrong_secret_key"


def test_a_value_that_was_moved_to_another_column_is_refused() -> None:
    sealer = Sealer(KEY)
    with pytest.raises(Unavailable):
        sealer.open(sealer.seal(b"x", "resources.params"), "resources.outputs")


def test_json_comes_back_as_it_was_however_large_its_numbers_and_however_deep_it_is() -> None:
    deep: Json = {"largest": 10**40, "smallest": -(2**63) - 1, "part": 0.1, "text": "Köln\u2028", "none": None}
    for _ in range(400):
        deep = {"within": [deep]}
    sealer = Sealer(KEY)
    assert sealer.open_json(sealer.seal_json(deep, "a.b"), "a.b") == deep


def test_not_a_single_byte_may_be_changed_or_cut() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"value", "a.b")
    for place in range(1, len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        for bad in (changed, sealed[:place]):
            with pytest.raises(Unavailable):
                sealer.open(bad, "a.b")
    assert sealer.open(sealed, "a.b") == b"value"


def test_equal_values_are_sealed_unlike_each_other_and_have_equal_fingerprints() -> None:
    sealer = Sealer(KEY)
    assert sealer.seal(b"x", "a") != sealer.seal(b"x", "a")
    assert sealer.fingerprint(b"x") == Sealer(KEY).fingerprint(b"x") != Sealer(bytes(32)).fingerprint(b"x")


def test_the_key_file_is_its_owners_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    key = key_from_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key_from_file(path) == key
    assert len(key) == 32


@pytest.mark.parametrize("text", ["", "short", "!!!", "A" * 42, "ü" * 44, "A" * 64])
def test_a_bad_key_is_refused_with_the_way_to_make_one(text: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as told:
        parse_key(text)
    assert "urlsafe_b64encode" in told.value.hint
    (tmp_path / "secret.key").write_text(text)
    with pytest.raises(Invalid):
        key_from_file(tmp_path / "secret.key")


def test_a_store_opened_with_another_key_says_so(store: Store, database_url: str) -> None:
    new = NewExecution("p", "d", "w", "k", "user:me", inputs=Outputs({"x": 1}))
    with store.begin() as tx:
        (made,) = executions.queue(tx, [new])
    other = Store(open_engine(database_url, pool_size=1), Sealer(bytes(32)))
    with other.read() as tx, pytest.raises(Unavailable) as told:
        executions.get(tx, made)
    other.close()
    assert told.value.code == "wrong_secret_key"
