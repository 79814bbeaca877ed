"""Text from strangers on a terminal and in a shell; command lines as people write them."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.session import arranged
from cli.text import clean, dotenv, shown

NOUNS = {"resource": {"show", "retry", "resolve"}}
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


def test_nothing_in_a_text_drives_the_terminal() -> None:
    hostile = "a\x1b]0;owned\x07b\x9b31mc\u202edr\re\tf\ng\r\nh"
    assert clean(hostile) == "a\\x1b]0;owned\\x07b\\x9b31mc\\u202edr\\re\tf\ng\nh"
    assert shown("one\ntwo\x1b") == "one two\\x1b"


@given(VALUES)
@settings(max_examples=25, deadline=None)
def test_a_shell_gives_back_every_value(value: str) -> None:
    script = dotenv({"VALUE": value}) + 'printf "%s" "$VALUE"'
    done = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True)
    assert done.stdout.decode() == value


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("list -o json", "-o json list"),
        ("--server=x list --token y", "--server=x --token y list"),
        ("resource 5", "resource show 5"),
        ("resource --reveal 5 -o yaml", "-o yaml resource show --reveal 5"),
        ("resource resolve 5 --as gone", "resource resolve 5 --as gone"),
        ("resource show retry", "resource show retry"),
        ("resource", "resource"),
        ("resource --help", "resource --help"),
        ("run path -p o=1 -- -o", "run path -p o=1 -- -o"),
        ("list -o", "-o list"),
        ("", ""),
    ],
)
def test_options_and_things_stand_where_people_put_them(line: str, wanted: str) -> None:
    assert arranged(line.split(), NOUNS) == wanted.split()
