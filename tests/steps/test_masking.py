import base64
import json
import shlex
import threading
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.steps.masking import Masker
from engine.steps.streams import clean

SECRET = 'pa$$ "w/rd" \x07+é\\'


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        shlex.quote(SECRET),
        clean(SECRET),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_every_form_of_a_secret_is_hidden(shown: str) -> None:
    told = Masker([SECRET]).mask(f"before {shown} after")
    assert SECRET not in told
    assert "***" in told
    assert told.startswith("before ")
    assert told.endswith(" after")


@pytest.mark.parametrize("user", ["u", "us", "user", "another"])
def test_a_password_is_hidden_inside_basic_authentication(user: str) -> None:
    password = "hunter2-hunter2"
    header = base64.b64encode(f"{user}:{password}".encode()).decode()
    told = Masker([password]).mask(f"Authorization: Basic {header}")
    kept = told.removeprefix("Authorization: Basic ").partition("***")[0]
    assert password not in base64.b64decode(kept + "=" * (-len(kept) % 4)).decode("latin-1")
    assert "***" in told


def test_a_secret_of_many_lines_is_hidden_line_by_line() -> None:
    masker = Masker(["-----BEGIN KEY-----\nMIIEvQIBADAN\n  c2VjcmV0\n-----END KEY-----\n"])
    assert masker.mask("MIIEvQIBADAN") == "***"
    assert masker.mask("> c2VjcmV0 <") == "> *** <"


def test_a_short_secret_is_hidden_where_it_stands_alone() -> None:
    masker = Masker(["abc", "7"])
    assert masker.mask("abc 7 'abc' abcdef 71") == "*** *** '***' abcdef 71"


def test_the_longest_secret_wins() -> None:
    assert Masker(["secret", "secret-and-more"]).mask("secret-and-more secret") == "*** ***"


@pytest.mark.parametrize("blank", ["", " ", "\n", "\t\n "])
def test_a_blank_secret_hides_nothing(blank: str) -> None:
    assert Masker([blank]).mask("a b\nc\t\n d") == "a b\nc\t\n d"


def test_hostile_secrets_do_not_break_the_masker() -> None:
    masker = Masker(["(.*", "[a", "\ud800bad", "x" * 1_000_000, "\\"])
    assert masker.mask("(.* [a \\ " + "x" * 1_000_000) == "*** *** *** ***"


def test_a_secret_is_hidden_from_its_addition_on() -> None:
    masker = Masker()
    assert masker.mask("first second") == "first second"
    masker.add("first")
    assert masker.mask("first second") == "*** second"
    masker.add("second")
    assert masker.mask("first second") == "*** ***"


@given(st.lists(st.text(min_size=4, max_size=20), max_size=5), st.text(max_size=40))
@settings(max_examples=80)
def test_no_secret_of_four_letters_survives(secrets: list[str], text: str) -> None:
    masked = Masker(secrets).mask(text.join([*secrets, ""]))
    for secret in secrets:
        if secret.strip() and secret not in "***" * 50:
            pieces = masked.replace("***", "\0")
            assert secret not in pieces or "\0" in secret


def test_threads_may_add_while_others_mask() -> None:
    masker = Masker()
    survived: list[str] = []

    def work(number: int) -> None:
        for index in range(30):
            secret = f"secret-{number}-{index}-end"
            masker.add(secret)
            survived.extend([secret] if secret in masker.mask(f"a {secret} b") else [])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert survived == []
