"""The doveadm server without sockets: logins, packets, JSON; and our client against hand-written answers."""

import base64
import io
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.admin import remote
from pydovecot.admin.arguments import Arguments
from pydovecot.admin.mail_commands import COMMON
from pydovecot.admin.settings import ServerSettings
from pydovecot.admin.table import commands as all_commands
from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.ipc.doveadm import DoveadmClient, Place, ServerFailed, parse_place
from pydovecot.services.doveadm_server import api, commands, http, protocol
from pydovecot.services.doveadm_server.output import Output, ServerPrinter
from pydovecot.services.doveadm_server.serve import is_http
from pydovecot.services.doveadm_server.stream import Closed, Stream
from pydovecot.settings.memory import MemoryView


class Wire:
    """A Stream without a socket."""

    def __init__(self, data: bytes) -> None:
        self._input = io.BytesIO(data)
        self.sent = b""
        self.secure = False

    def line(self, limit: int = 1 << 20) -> bytes:
        line = self._input.readline(limit + 1)
        if not line.endswith(b"\n"):
            raise Closed("line too long" if len(line) > limit else "")
        return line[:-1]

    def let_in(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        self.sent += data


def host(sink: ListSink | None = None, **settings: str) -> commands.Host:
    view = MemoryView({"doveadm_password": "sekret", **settings})
    allowed = settings.get("doveadm_allowed_commands", "")
    return commands.Host(view, Event(sink or ListSink()), "", frozenset(filter(None, allowed.split(","))))


def talk(data: bytes, *, trusted: bool = True, **settings: str) -> tuple[bytes, str]:
    """All that is sent, and why the conversation ended."""
    wire = Wire(data)
    one = protocol.Conversation(
        wire, host(**settings), trusted=trusted, start_tls=None, show=lambda _text: None  # type: ignore[arg-type]
    )
    with pytest.raises(Closed) as ended:
        one.run()
    return wire.sent, str(ended.value)


HELLO = b"VERSION\tdoveadm-server\t1\t0\n"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\0doveadm\0sekret", ""),
        (b"\0doveadm\0bad", "wrong password"),
        (b"\0doveadm\0", "wrong password"),
        (b"\0root\0sekret", "didn't authenticate as 'doveadm'"),
        (b"doveadm\0doveadm\0sekret", "didn't authenticate"),
        (b"", "didn't authenticate"),
    ],
)
def test_logins(line: bytes, why: str) -> None:
    refused = protocol.why_refused(b"PLAIN\t" + base64.b64encode(line), "doveadm", "sekret")
    assert (why in refused) if why else not refused
    assert "sekret" not in refused


def test_no_password_is_no_login() -> None:
    plain = b"PLAIN\t" + base64.b64encode(b"\0doveadm\0")
    assert protocol.why_refused(plain, "doveadm", "") == (
        "doveadm_password not set, remote authentication disabled"
    )
    assert "invalid base64" in protocol.why_refused(b"PLAIN\t*", "doveadm", "x")
    assert "non-PLAIN" in protocol.why_refused(b"CRAM-MD5", "doveadm", "x")


def test_allowed_commands() -> None:
    sent, why = talk(HELLO + b"\t\tkick\tx\n", doveadm_allowed_commands="who,user")
    assert (sent, why) == (b"+\n", "doveadm client isn't allowed to use command: kick")


@pytest.mark.parametrize("line", [b"exec\tls", b"config", b"pw\t-l", b"auth test\ta\tb"])
def test_commands_of_the_terminal_are_not_there(line: bytes) -> None:
    assert talk(HELLO + b"\t\t" + line + b"\n")[0] == b"+\n\n-\n"


@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
def test_any_client_is_survived(lines: list[bytes], trusted: bool) -> None:
    # Nothing that a random line could name may do harm here.
    talk(HELLO + b"\n".join(lines) + b"\n", trusted=trusted, doveadm_allowed_commands="help")


def test_packets() -> None:
    sent: list[bytes] = []
    output = Output(sent.append, packets=True)
    printer = ServerPrinter(output)
    printer.header("a")
    printer.header("b")
    printer.value("x\ty")
    printer.stream(b"p\n")
    printer.stream(b"q")
    printer.end_stream()
    output.log("Warning", "user: text")
    output.end(67)
    data = b"x\x01ty\tp\x01nq\t"
    assert b"".join(sent) == (
        b"\0" + len(data).to_bytes(4, "big") + data
        + b"L\0\0\0\x0c\x03user: text\n"
        + b"\0\0\0\0\x09\n-NOUSER\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("header", "good"),
    [
        ("Basic " + base64.b64encode(b"doveadm:sekret").decode(), True),
        ("basic " + base64.b64encode(b"doveadm:sekret").decode(), True),
        ("Basic " + base64.b64encode(b"doveadm:").decode(), False),
        ("Basic !", False),
        ("X-Dovecot-API " + base64.b64encode(b"key").decode(), True),
        ("X-Dovecot-API " + base64.b64encode(b"").decode(), False),
        ("X-Dovecot-API key", False),
        ("Bearer " + base64.b64encode(b"key").decode(), False),
        ("", False),
    ],
)
def test_authorization(header: str, good: bool) -> None:
    assert http.check(header, "doveadm", "sekret", "key")[0] is good
    assert http.check(header, "doveadm", "", "")[0] is False


def test_a_secret_without_a_scheme_is_not_told() -> None:
    assert http.check("sekret", "doveadm", "sekret", "key") == (False, "no")


def test_files_are_what_the_client_sends(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root\n")
    command = next(one for one in all_commands() if one.name == "save")
    arguments = Arguments({"user-file": str(tmp_path / "secret"), "file": "text", "mailbox": "INBOX"})
    assert commands.files_of(command, arguments) == [str(tmp_path / "secret"), "text"]
    assert arguments.values == {"user-file": "-", "file": "-", "mailbox": "INBOX"}
    both = {"userFile": "a", "file": "b"}
    assert posted(["save", both, "t"]) == [["error", {"type": "invalidRequest", "exitCode": 0}, "t"]]


def test_half_a_character_is_refused() -> None:
    with pytest.raises(api.BadRequest):
        api.run_all(host(), b'[["who", {}, "\\ud800"]]', lambda _: None)


def test_names_in_json() -> None:
    assert api.camel("mailbox cache purge") == "mailboxCachePurge"
    assert api.camel("user-mask") == "userMask"
    rows = json.loads(api.listing())
    names = [row["command"] for row in rows]
    assert len(set(names)) == len(names)
    assert {"who", "authCacheFlush", "mailboxList"} <= set(names)
    assert not {"exec", "config", "help", "pw", "tail", "top"} & set(names)


def posted(*requests: object, **settings: str) -> list[object]:
    body = json.dumps(requests).encode()
    answer: list[object] = json.loads(api.run_all(host(**settings), body, lambda _: None))
    return answer


def test_answers_in_json() -> None:
    assert posted() == []
    assert posted(["nosuch", {}, "é\"x"]) == [["error", {"type": "unknownMethod", "exitCode": 0}, "é\"x"]]
    assert posted(["who", {"nosuch": 1}, "t"]) == [["error", {"type": "invalidRequest", "exitCode": 0}, "t"]]
    assert posted(["kick", {}, "t"], doveadm_allowed_commands="who") == [
        ["error", {"type": "unAuthorized", "exitCode": 0}, "t"]
    ]
    assert posted(["kick", {}, "t"]) == [["error", {"type": "exitCode", "exitCode": 64}, "t"]]
    assert posted(["who", {"socketPath": "/nonexistent"}, "t"]) == [
        ["error", {"type": "exitCode", "exitCode": 75}, "t"]
    ]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: (
    st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["mask", "x", "force"]), inner, max_size=3)
)))  # fmt: skip
def test_any_json_is_survived(request: object) -> None:
    body = json.dumps([["logFind", request, "t"], request]).encode()
    try:
        api.run_all(host(doveadm_allowed_commands="nothing"), body, lambda _: None)
    except api.BadRequest as exc:
        assert str(exc)


def test_deep_json_is_refused() -> None:
    with pytest.raises(api.BadRequest):
        api.run_all(host(), b"[" * 100_000, lambda _: None)


def test_listeners_of_http() -> None:
    assert [is_http(name) for name in ("http", "doveadm-http", "doveadm", "https", "doveadm-server")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_dots() -> None:
    text = b"Subject: x\r\n\r\n..y\r\n.\r\nnext\n"
    wire = Wire(text)
    assert io.BufferedReader(protocol.DotInput(wire)).read() == b"Subject: x\n\n.y"  # type: ignore[arg-type]
    assert wire.line() == b"next"


def test_what_follows_a_line_stays_until_the_client_is_let_in() -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"STARTTLS\n\x16\x03\x01\nand more\n")
        stream = Stream(None, here)  # type: ignore[arg-type]
        assert stream.line() == b"STARTTLS"
        assert here.recv(3) == b"\x16\x03\x01"
        stream.let_in()
        assert (stream.line(), stream.line()) == (b"", b"and more")


# -- the client


@pytest.mark.parametrize(
    ("text", "port", "place"),
    [
        ("/run/x", 0, Place("/run/x")),
        ("host:24245", 0, Place("host", 24245)),
        ("tcp:host:1", 9, Place("host", 1)),
        ("[::1]:7", 0, Place("::1", 7)),
        ("host", 24245, Place("host", 24245)),
        ("doveadm-server", 0, Place("/base/doveadm-server")),
    ],
)
def test_places(text: str, port: int, place: Place) -> None:
    assert parse_place(text, "/base", port) == place


def asked(answer: bytes, use: Callable[[DoveadmClient], object], *, packets: bool = False) -> object:
    """A client against a server that says `answer` whatever it is told."""
    server = socket.create_server(("127.0.0.1", 0))
    greeting = b"VERSION\tdoveadm-client\t1\t2\n-\n+\n" if packets else b"-\n+\n"

    def serve() -> None:
        sock, _peer = server.accept()
        with sock:
            sock.sendall(greeting + answer)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        with DoveadmClient(Place("127.0.0.1", server.getsockname()[1]), user="u", password="p") as client:
            return use(client)
    finally:
        server.close()
        thread.join(10)


def values_of(client: DoveadmClient) -> tuple[str, list[bytes], list[tuple[int, str]]]:
    values: list[bytes] = []
    said: list[tuple[int, str]] = []
    code = client.run(["", "a", "x"], values.append, lambda level, text: said.append((level, text)))
    return code, values, said


def test_the_client_reads_rows() -> None:
    assert asked(b"a\x01tb\t\tc\t\n+\n", values_of) == ("", [b"a\tb", b"", b"c"], [])
    assert asked(b"\n-NOUSER\n", values_of) == ("NOUSER", [], [])
    assert asked(b"text\n+\n", values_of) == ("", [b"text"], [])


def test_the_client_reads_packets() -> None:
    def packet(channel: bytes, data: bytes) -> bytes:
        return channel + len(data).to_bytes(4, "big") + data

    data = packet(b"\0", b"on") + packet(b"L", b"\x04oops\n\x02hm\n") + packet(b"\0", b"e\tt") + packet(
        b"\0", b"wo\t\n-TEMPFAIL\n"
    )
    assert asked(data, values_of, packets=True) == ("TEMPFAIL", [b"one", b"two"], [(3, "oops"), (1, "hm")])


@pytest.mark.parametrize("answer", [b"", b"a\t", b"\nnonsense\n", b"a\t\n"])
def test_a_broken_server_is_told(answer: bytes) -> None:
    with pytest.raises(ServerFailed):
        asked(answer, values_of)
    with pytest.raises(ServerFailed):
        asked(b"X" + answer + b"12345678", values_of, packets=True)


def test_arguments_travel() -> None:
    masks = ["-x", "y z"]
    arguments = Arguments({"user": "b*", "socket-path": "x", "mailbox-mask": masks, "all-users": True})
    command = next(one for one in all_commands() if one.name == "mailbox list")
    assert remote.rendered(command.params, arguments, several=True) == ["-A", "--", "-x", "y z"]
    assert remote.rendered(COMMON, Arguments(), several=False) == ["--"]


def test_off_without_secrets() -> None:
    settings = MemoryView({}).get(ServerSettings)
    assert settings.doveadm_password == settings.doveadm_api_key == ""
