"""The header in front of a script's input."""

import socket

import pytest

from pydovecot.plugins.quota.alert import request as quota_request
from pydovecot.services.script.request import BadRequest, Request, parse, read_header
from pydovecot.services.script.serve import command

START = b"VERSION\tscript\t4\t0\n"


@pytest.mark.parametrize(
    ("header", "request_"),
    [
        (START + b"noreply\n\n", Request()),
        (START + b"-\na\nb c\n\n", Request(True, 0, ["a", "b c"])),
        (START + b"alarm=10\nnoreply\n\x011x\n\n", Request(False, 10, ["\x01x"])),
        (START + b"noreply\na\x01nb\n\n", Request(False, 0, ["a\nb"])),
    ],
)
def test_parse(header: bytes, request_: Request) -> None:
    assert parse(header) == request_


@pytest.mark.parametrize(
    "header",
    [
        b"VERSION\tauth\t4\t0\nnoreply\n\n", START + b"\n", START + b"perhaps\n\n",
        START + b"alarm=x\nnoreply\n\n", START + b"alarm=999999999\n-\n\n", START + b"-\n\x010\n\n",
    ],
)  # fmt: skip
def test_nonsense(header: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(header)


def test_what_quota_sends_is_understood() -> None:
    words = ["95", "alice@example.org", "tab\there", "line\nend"]
    assert parse(quota_request(words)).arguments == words


def test_the_script_gets_what_is_behind_the_header() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(START + b"-\na\n\ninput of the script")
        assert parse(read_header(ours)).arguments == ["a"]
        assert ours.recv(100) == b"input of the script"


def test_a_header_without_end() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(START)
        with pytest.raises(BadRequest):
            read_header(ours)


def test_options_before_the_path_are_ours() -> None:
    assert command(("-p", "-e", "A B", "/bin/x", "-y")) == ["/bin/x", "-y"]
