"""Options of command lines, as getopt(3) has them."""

import getopt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.base.options import BadOption, parse

WORDS = st.lists(st.text(alphabet="abe-=x:", max_size=4), max_size=6)


@given(WORDS)
def test_the_same_as_the_standard_library(argv: list[str]) -> None:
    # Long options are the only thing that the library knows beyond us.
    argv = [word for word in argv if word == "--" or not word.startswith("--")]
    try:
        options, words = getopt.getopt(argv, "a:be")
    except getopt.GetoptError:
        with pytest.raises(BadOption):
            parse(argv, "a:be")
        return
    assert parse(argv, "a:be") == ([(name[1:], value) for name, value in options], words)


@pytest.mark.parametrize(
    ("argv", "text"), [(["-x"], "invalid option -- 'x'"), (["-ea"], "option requires an argument -- 'a'")]
)
def test_what_is_wrong(argv: list[str], text: str) -> None:
    with pytest.raises(BadOption, match=text):
        parse(argv, "a:be")
