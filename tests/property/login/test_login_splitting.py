"""The login cores take any input in any pieces: the same answers, bounded memory, no exception."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.login_memory import MemoryHost, cuts_of, login_client

cut_places = st.lists(st.integers(0, 5000), max_size=12)
words = st.sampled_from(
    [
        b"a", b"LOGIN", b"AUTHENTICATE", b"PLAIN", b"alice", b"wonder", b'"alice"', b'"wo\\"nder"', b"{6+}",
        b"{6}", b"{0}", b"\r\n", b"\n", b" ", b"(", b")", b"ID", b"NIL", b"NOOP", b"CAPABILITY", b"*", b"=",
        b"AGFsaWNlAHdvbmRlcg==", b"\0", b"\xff", b"STARTTLS", b"LOGOUT", b"USER", b"PASS", b"AUTH", b"APOP",
        b"QUIT", b"CAPA", b"STLS", b"XCLIENT", b"ADDR=1.2.3.4", b"{99999}", b"x" * 1100, b"x" * 9000,
    ]
)  # fmt: skip
grammar = st.lists(words, max_size=30).map(lambda parts: b" ".join(parts))
inputs = grammar | st.lists(words, max_size=30).map(b"".join) | st.binary(max_size=400)


def run(protocol: str, pieces: list[bytes]) -> tuple[bytes, bool, bytes]:
    """Output, whether the connection was closed, and the input that a mail worker got."""
    client, host, _log = login_client(protocol)
    client.auth_ready()
    greeting = len(host.output)
    for piece in pieces:
        if client.closed:
            break
        if not client.wants_input:
            host.settle()
        client.feed(piece)
        host.settle()
        assert len(client._buffer) <= 9000 + len(piece)
    client.lost()
    given = host.given.input if host.given is not None else b""
    return bytes(host.output[greeting:]), host.closed, given


def one_feed_per_command(protocol: str, data: bytes) -> MemoryHost:
    """All at once: what is behind the login goes to the worker."""
    client, host, _log = login_client(protocol)
    client.auth_ready()
    client.feed(data)
    host.settle()
    return host


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["imap", "pop3"]), inputs, cut_places)
def test_any_splitting_gives_the_same_answers(protocol: str, data: bytes, places: list[int]) -> None:
    if b"STARTTLS" in data or b"STLS" in data:
        # What comes in the same read as the command is dropped on purpose: splitting matters there.
        run(protocol, cuts_of(data, places))
        return
    whole = run(protocol, [data] if data else [])
    cut = run(protocol, cuts_of(data, places))
    # Pieces that arrive after the handover are read by the worker from its own socket.
    assert cut[0] == whole[0]
    assert cut[1] == whole[1]
    assert whole[2].startswith(cut[2])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["imap", "pop3"]), st.binary(max_size=3000))
def test_noise_never_logs_in_and_never_raises(protocol: str, noise: bytes) -> None:
    host = one_feed_per_command(protocol, noise)
    if b"wonder" not in noise:
        assert host.given is None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200).filter(lambda data: b"\0" not in data), cut_places)
def test_a_literal_is_taken_as_it_is(name: bytes, places: list[int]) -> None:
    data = b"a LOGIN {%d+}\r\n%s {6+}\r\nwonder\r\n" % (len(name), name)
    client, host, _log = login_client("imap")
    client.auth_ready()
    for piece in cuts_of(data, places):
        client.feed(piece)
        host.settle()
    assert host.given is not None
    assert client.user == name.decode("utf-8", "replace")
