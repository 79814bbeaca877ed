"""A URL of a Redis is judged at the start, with the other settings: the driver would break where it is used."""

import pytest

from cli.settings import read_settings
from engine.errors import Invalid


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:6379",
        "http://x",
        "redis://127.0.0.1:abc/0",
        "redis://127.0.0.1:99999/0",
        "redis://127.0.0.1/zz",
        "redis://:pa/ss@127.0.0.1:6379/0",
    ],
)
def test_what_is_no_url_of_a_redis_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("INNOMINATUS_REDIS_URL", url)
    with pytest.raises(Invalid) as refused:
        read_settings()
    (problem,) = refused.value.problems
    assert "redis_url" in str(problem).lower()
    assert "redis://" in str(problem)
    assert "pa/ss" not in str(problem)


@pytest.mark.parametrize(
    "url",
    ["", "redis://h", "redis://:secret@h:6380/3", "rediss://u:p%2Fq@h:1/", "redis://[::1]:6379/0", "unix:///run/redis"],
)
def test_what_is_one_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("INNOMINATUS_REDIS_URL", url)
    assert read_settings().redis_url == url
