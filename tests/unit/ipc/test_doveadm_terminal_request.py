"""What doveadm gives to a process of the server: any arguments come out as they went in."""

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.ipc import doveadm_terminal
from pydovecot.ipc.doveadm_terminal import END, VERSION, decode, encode

WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
NAME = st.sampled_from(("USER", "HOME", "TZ"))


@given(st.lists(WORD, max_size=8), WORD, st.dictionaries(NAME, WORD))
def test_arguments_come_through(argv: list[str], folder: str, environment: dict[str, str]) -> None:
    assert decode(encode(argv, folder, environment)) == (argv, folder, environment)


def test_names_of_files_come_through() -> None:
    name = b"\xff\n".decode("utf-8", "surrogateescape")
    assert decode(encode([name, ""], name, {})) == ([name, ""], name, {})


@given(st.binary(max_size=40))
def test_anything_else_is_none(data: bytes) -> None:
    assert decode(data) is None
    decode(VERSION + b"\0" + data + END)  # whatever it is, no exception
    assert decode(VERSION + b"\0/\0x" + END) is None


def test_a_server_that_is_busy_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doveadm_terminal, "PATIENCE_SECS", 0.05)
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert doveadm_terminal.hand_over(path, ["who"], "/", {}) is None
