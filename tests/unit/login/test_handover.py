"""The request between login process and mail worker: round trip, limits, and what is no request."""

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.base import fdpass
from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.login import handover
from pydovecot.login.handover import (
    HEAD,
    MAX_INPUT_BYTES,
    BadHandover,
    HandoverReply,
    HandoverRequest,
    body_size,
    decode,
    decode_reply,
)
from pydovecot.login.mail_session import receive

numbers = st.integers(0, 2**63)
ports = st.integers(0, 65535)
texts = st.text(max_size=60)
requests = st.builds(
    HandoverRequest,
    numbers,
    numbers,
    numbers,
    numbers,
    st.binary(min_size=16, max_size=16),
    numbers,
    st.ip_addresses().map(str),
    st.ip_addresses().map(str),
    ports,
    ports,
    st.booleans(),
    st.booleans(),
    texts,
    texts,
    st.binary(max_size=100),
    st.booleans(),
    st.binary(max_size=3000),
)


def request(**changes: object) -> HandoverRequest:
    """A usual one."""
    values: dict[str, object] = {
        "tag": 1, "auth_pid": 2, "auth_id": 3, "client_pid": 4, "cookie": bytes(16), "inode": 5,
        "local_ip": "127.0.0.1", "remote_ip": "::1", "local_port": 143, "remote_port": 4711,
        "secured": True, "tls": False, "session": "abc", "command_tag": b"a1", "input": b"b NOOP\r\n",
        **changes,
    }  # fmt: skip
    return HandoverRequest(**values)  # type: ignore[arg-type]


@given(requests)
def test_what_is_encoded_comes_back(made: HandoverRequest) -> None:
    message = made.encode()
    assert body_size(message[: HEAD.size]) == len(message) - HEAD.size
    assert decode(message) == made


@given(st.binary(max_size=300))
def test_noise_is_no_request(noise: bytes) -> None:
    with pytest.raises(BadHandover):
        decode(noise)


@given(requests, st.integers(0), st.integers(1, 255))
def test_one_wrong_byte_is_refused_or_read_as_what_it_says(
    made: HandoverRequest, at: int, change: int
) -> None:
    message = bytearray(made.encode())
    message[at % len(message)] ^= change
    try:
        found = decode(bytes(message))
    except BadHandover:
        return
    assert len(found.cookie) == 16
    assert found.local_port <= 65535


def test_limits() -> None:
    request(input=b"x" * MAX_INPUT_BYTES).encode()
    with pytest.raises(BadHandover):
        request(input=b"x" * (MAX_INPUT_BYTES + 1)).encode()
    with pytest.raises(BadHandover):
        request(session="x" * 5000).encode()
    with pytest.raises(BadHandover):
        body_size(HEAD.pack(handover.MAGIC, 65535, 1))


@given(st.integers(0, 2**31), st.booleans(), st.integers(0, 2**22))
def test_reply_round_trip(tag: int, ok: bool, pid: int) -> None:
    reply = HandoverReply(tag, ok, pid)
    assert decode_reply(reply.encode()) == reply


@given(st.binary(max_size=40))
def test_noise_is_no_reply(noise: bytes) -> None:
    try:
        reply = decode_reply(noise)
    except BadHandover:
        return
    assert reply.encode().rstrip(b"\n").endswith(str(reply.mail_pid).encode())


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(60)
        yield ours, theirs


def test_receive_takes_the_client_along(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    near, far = socket.socketpair()
    with near, far:
        message = request(inode=os.fstat(far.fileno()).st_ino).encode()
        # The first bytes carry the descriptor, the rest may come in any pieces.
        fdpass.send_fds(ours, message[:3], [far.fileno()])
        ours.sendall(message[3:20])
        ours.sendall(message[20:])
        received = receive(theirs, Event(ListSink()))
        assert received is not None
        got, client = received
        with client:
            assert got.input == b"b NOOP\r\n"
            client.sendall(b"hello")
            assert near.recv(10) == b"hello"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\0" * 100,
        request().encode()[:30],
        HEAD.pack(handover.MAGIC, 60000, 60000) + b"x" * 100,
        request().encode(),  # without a descriptor
    ],
)
def test_receive_refuses_what_is_no_request(pair: tuple[socket.socket, socket.socket], sent: bytes) -> None:
    ours, theirs = pair
    sink = ListSink()
    ours.sendall(sent)
    ours.shutdown(socket.SHUT_WR)
    assert receive(theirs, Event(sink)) is None
    assert len(sink.lines) == 1
    assert sink.texts[0].startswith("login handover failed: ")


def test_receive_refuses_another_descriptor(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    sink = ListSink()
    before = len(os.listdir("/proc/self/fd"))
    with open("/dev/null", "rb") as null:
        fdpass.send_fds(ours, request(inode=1).encode(), [null.fileno()])
        assert receive(theirs, Event(sink)) is None
    assert "another descriptor" in sink.texts[0]
    assert len(os.listdir("/proc/self/fd")) == before


def test_probe_is_no_error(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    sink = ListSink()
    ours.close()
    assert receive(theirs, Event(sink)) is None
    assert sink.lines == []
