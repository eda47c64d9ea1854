"""The login core alone: log lines, counters, limits, trusted proxies."""

import base64
import re

import pytest

from pydovecot.login.handover import HandoverReply
from pydovecot.login.host import TlsState
from pydovecot.login.result import Bye
from pydovecot.proto.auth.client import Reply, Status
from pydovecot.services.imap_login.client import ImapLoginClient
from tests.support.login_memory import MAIL_PID, MemoryHost, base64_plain, login_client


def talk(client: object, host: MemoryHost, data: bytes) -> bytes:
    """Feed, let everything happen, take the output."""
    assert host.client is client
    host.client.feed(data)
    host.settle()
    out = bytes(host.output)
    host.output.clear()
    return out


def start(protocol: str = "imap", **settings: str) -> tuple[ImapLoginClient, MemoryHost, list[str]]:
    """A greeted client; the texts of its log grow as it goes on."""
    client, host, sink = login_client(protocol, settings, remote=settings.pop("remote", "127.0.0.1"))
    client.auth_ready()
    host.output.clear()

    class Texts(list[str]):
        """The log as a list of texts."""

        def __getitem__(self, at: object) -> str:  # type: ignore[override]
            return sink.texts[at]  # type: ignore[call-overload, no-any-return]

    return client, host, Texts()  # type: ignore[return-value]


def test_login_line_and_handover() -> None:
    client, host, log = start()
    out = talk(client, host, b"tag LOGIN alice wonder\r\nnext NOOP\r\n")
    assert out == b"tag OK [CAPABILITY IMAP4rev1] Logged in\r\n"
    assert host.given is not None
    assert host.given.command_tag == b"tag"
    assert host.given.input == b"next NOOP\r\n"
    assert host.given.secured
    assert log[-1].startswith(
        f"Login: user=<alice>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, mpid={MAIL_PID}, secured, "
    )
    assert host.done


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "no auth attempts in 7 secs"),
        (b"a LOGIN alice bad\r\n", "auth failed, 1 attempts in 7 secs"),
        (b"a LOGIN alice bad\r\nb LOGIN bob bad\r\n", "auth failed, 2 attempts in 7 secs"),
        (b"a AUTHENTICATE PLAIN\r\n", "client didn't finish SASL auth, waited 7 secs"),
        (b"a AUTHENTICATE PLAIN\r\n*\r\n", "aborted authentication"),
        (b"a AUTHENTICATE FOO\r\n", "tried to use unsupported auth mechanism"),
        (b"a AUTHENTICATE PLAIN x\r\n", "sent invalid base64 in response"),
        (b"a LOGIN nologin wonder\r\n", "internal failure, 1 successful auths"),
    ],
)
def test_reason_of_a_disconnect(said: bytes, reason: str) -> None:
    client, host, log = start()
    if said:
        talk(client, host, said)
    host.time += 7
    client.lost()
    assert f"Disconnected: Connection closed ({reason}): user=<" in log[-1]


def test_logging_out_before_login() -> None:
    client, host, log = start()
    talk(client, host, b"a LOGOUT\r\n")
    assert log[-1].startswith(
        "Disconnected: Aborted login by logging out (no auth attempts in 0 secs): user=<>, rip="
    )


def test_user_of_a_refused_plaintext_login_is_in_the_log() -> None:
    client, host, log = start(remote="127.0.0.2", disable_plaintext_auth="yes", auth_verbose="yes")
    talk(client, host, b"a LOGIN alice wonder\r\n")
    client.lost()
    assert log[0].startswith("Login failed: Plaintext authentication disabled: user=<>, rip=127.0.0.2, lip=")
    assert "(auth failed, 1 attempts in 0 secs): user=<alice>, rip=127.0.0.2" in log[-1]


def test_control_characters_and_length_in_the_log() -> None:
    client, host, log = start()
    talk(client, host, b'a LOGIN "al\x01ice\xff' + b"x" * 200 + b'" bad\r\n')
    client.lost()
    name = log[-1].split("user=<")[1].split(">")[0]
    assert name.startswith("al?ice")
    assert name.endswith("xxx...")
    assert len(name) == 80


def test_own_log_format() -> None:
    client, host, log = start(
        login_log_format="%s -- %$",
        login_log_format_elements="<%u> %m from=%r port=%b tls=%k x=%{passdb:user}",
    )
    talk(client, host, b"a LOGIN alice wonder\r\n")
    assert log[-1] == "<alice>, PLAIN, from=127.0.0.1, port=43210, x=alice -- Login"


def test_tls_in_the_log() -> None:
    client, host, log = start()
    talk(client, host, b"a STARTTLS\r\n")
    assert client.tls
    assert client.secured
    talk(client, host, b"b LOGIN alice wonder\r\n")
    assert "TLS, session=<" in log[-1]
    host.tls_state = TlsState(error="SSL_accept() failed: x")
    client.log("test")
    assert "TLS handshaking: SSL_accept() failed: x" in log[-1]


def test_starttls_forgets_what_came_before_it() -> None:
    client, host, _log = start(remote="127.0.0.2")
    client.feed(b"a STARTTLS\r\nb LOGIN mallory wonder\r\n")
    client.feed(b"c NOOP\r\n")
    host.settle()
    assert bytes(host.output) == b"a OK Begin TLS negotiation now.\r\n"
    assert host.given is None


def test_input_waits_for_the_auth_process() -> None:
    client, host, _sink = login_client("imap")
    host.auth_ready = False
    client.feed(b"a NOOP\r\n")
    assert bytes(host.output) == b"* OK Waiting for authentication process to respond..\r\n"
    host.output.clear()
    host.auth_ready = True
    client.auth_ready()
    assert bytes(host.output).startswith(b"* OK [CAPABILITY ")
    assert bytes(host.output).endswith(b"\r\na OK NOOP completed.\r\n")


def test_client_that_leaves_before_auth_is_there() -> None:
    client, host, sink = login_client("imap")
    host.auth_ready = False
    host.time += 3
    client.lost()
    assert "(disconnected before auth was ready, waited 3 secs)" in sink.texts[-1]


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"code": "temp_fail", "temp": ""}, b"NO [UNAVAILABLE] Temporary authentication failure."),
        ({"code": "authz_fail"}, b"NO [AUTHORIZATIONFAILED] Authorization failed"),
        ({"code": "pass_expired"}, b"NO [EXPIRED] Password expired."),
        ({"code": "user_disabled", "reason": "On leave"}, b"NO [CONTACTADMIN] On leave"),
        ({"code": "user_disabled"}, b"NO [AUTHENTICATIONFAILED] Authentication failed."),
        ({"reason": "Go\r\n* away"}, b"NO [ALERT] Go  * away"),
        ({}, b"NO [AUTHENTICATIONFAILED] Authentication failed."),
    ],
)
def test_words_for_each_failure(fields: dict[str, str], answer: bytes) -> None:
    client, host, _log = start()
    client.feed(b"a LOGIN alice wonder\r\n")
    host.turns.clear()
    client._reply(Reply(1, Status.FAIL, fields=fields))
    out = re.sub(rb" \[[^:\]]+:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]", b"", bytes(host.output))
    assert out == b"a " + answer + b"\r\n"


def test_referral_to_another_server() -> None:
    fields = {"user": "alice", "nologin": "", "host": "other.example.com", "port": "993", "destuser": "bob@x"}
    for protocol, said, answer in (
        (
            "imap",
            b"a LOGIN alice wonder\r\n",
            b"a NO [REFERRAL imap://bob%40x;AUTH=PLAIN@other.example.com:993/] ",
        ),
        ("pop3", b"USER alice\r\nPASS wonder\r\n", b"+OK\r\n-ERR "),
    ):
        client, host, _log = start(protocol)
        client.feed(said)
        host.turns.clear()
        client._reply(Reply(1, Status.OK, fields=fields))
        assert bytes(host.output) == answer + b"Try this server instead.\r\n"
        assert not host.closed


def test_too_many_sessions_of_one_user() -> None:
    for protocol, said, code in (
        ("imap", b"a LOGIN alice wonder\r\n", b"a NO [LIMIT]"),
        ("pop3", b"USER alice\r\nPASS wonder\r\n", b"-ERR [IN-USE]"),
    ):
        client, host, log = start(protocol, mail_max_userip_connections="3")
        host.sessions = 3
        text = "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=3)"
        assert talk(client, host, said).endswith(b"%s %s\r\n" % (code, text.encode()))
        assert host.closed
        assert log[-1].startswith(f"Disconnected: {text}: user=<alice>, method=PLAIN")


def test_worker_that_refuses_has_told_the_client() -> None:
    client, host, log = start()
    host.handover_reply = HandoverReply(1, False, 99)
    assert talk(client, host, b"a LOGIN alice wonder\r\n") == b""
    assert host.closed
    assert "Disconnected: Internal login failure (pid=" in log[-1]
    assert "mpid=99" in log[-1]


def test_worker_that_is_not_there() -> None:
    for protocol, said, text in (
        ("imap", b"a LOGIN alice wonder\r\n", b"* BYE [UNAVAILABLE] Internal login failure. Refer"),
        ("pop3", b"USER alice\r\nPASS wonder\r\n", b"+OK\r\n-ERR [SYS/TEMP] Internal login failure. Refer"),
    ):
        client, host, _log = start(protocol)
        host.handover_reply = None
        assert talk(client, host, said).startswith(text)
        assert host.closed


def test_timeouts_say_where_it_was_slow() -> None:
    client, host, log = start()
    client.timed_out()
    assert bytes(host.output) == b"* BYE Disconnected for inactivity.\r\n"
    assert log[-1].startswith("Disconnected: Inactivity (no auth attempts in 0 secs)")
    client, host, log = start()
    talk(client, host, b"a AUTHENTICATE PLAIN\r\n")
    client.timed_out()
    assert bytes(host.output) == b"* BYE Disconnected for inactivity during authentication.\r\n"
    assert log[-1].startswith(
        "Disconnected: Inactivity during authentication (client didn't finish SASL auth"
    )


def test_shutdown_words() -> None:
    for protocol, text in (("imap", b"* BYE Bye"), ("pop3", b"-ERR [SYS/TEMP] Bye")):
        client, host, _log = start(protocol)
        client.bye(Bye.SHUTDOWN, "Bye", "Disconnected: Shutting down")
        assert bytes(host.output) == text + b"\r\n"
        assert host.closed


def test_trusted_proxy_tells_of_its_client() -> None:
    client, host, log = start(
        login_trusted_networks="10.0.0.0/8 127.0.0.3", remote="127.0.0.3", imap_id_log="*"
    )
    talk(
        client,
        host,
        b'a ID ("x-originating-ip" "1.2.3.4" "x-originating-port" "77" "x-connected-ip" "2001:db8::1" '
        b'"x-connected-port" "999" "x-session-id" "mysess" "name" "foo" "os" NIL)\r\n',
    )
    assert log[0].startswith("ID sent: x-originating-ip=1.2.3.4, x-originating-port=77, ")
    assert "name=foo, os=NIL: user=<>, rip=1.2.3.4, lip=2001:db8::1, secured, session=<mysess>" in log[0]
    talk(client, host, b"b LOGIN alice wonder\r\n")
    fields = host.auth_fields
    assert list(fields)[:3] == ["service", "secured", "no-penalty"]
    assert fields["rip"] == "1.2.3.4"
    assert fields["real_rip"] == "127.0.0.3"
    assert fields["session"] == "mysess"


def test_nobody_else_is_believed() -> None:
    client, host, log = start(remote="127.0.0.3", imap_id_log="name")
    talk(client, host, b'a ID ("x-originating-ip" "1.2.3.4" "name" "foo" "os" "x")\r\n')
    assert log[0].startswith("ID sent: name=foo: user=<>, rip=127.0.0.3, lip=127.0.0.1")


def test_id_answer_and_what_is_retained() -> None:
    client, host, _log = start(imap_id_send="name * version * os * x y", imap_id_retain="yes")
    out = talk(client, host, b'a ID ("name" "a\\"b")\r\n')
    assert out.startswith(b'* ID ("name" "Dovecot" "version" "')
    assert b'"x" "y")\r\na OK ID completed.\r\n' in out
    talk(client, host, b"b LOGIN alice wonder\r\n")
    assert host.auth_fields["client_id"] == '"name" "a\\"b"'
    client, host, _log = start(imap_id_send="")
    assert talk(client, host, b"a ID NIL\r\n").startswith(b"* ID NIL\r\n")


def test_fields_of_an_authentication() -> None:
    client, host, _log = start()
    talk(client, host, b"a LOGIN alice wonder\r\n")
    assert list(host.auth_fields.items())[:2] == [("service", "imap"), ("secured", None)]
    assert host.auth_fields["lip"] == "127.0.0.1"
    assert host.auth_fields["rport"] == "43210"
    assert "real_rip" not in host.auth_fields and "no-penalty" not in host.auth_fields
    raw = base64.b64decode(str(host.auth_fields["session"]))
    assert raw[8:] == b"\x7f\0\0\1"
    assert int.from_bytes(raw[6:8], "little") == 43210
    assert int.from_bytes(raw[:6], "little") == (1_700_000_000 * 1_000_000) & 0xFFFFFFFFFFFF


def test_apop_gives_challenge_name_and_digest_to_auth() -> None:
    client, host, _sink = login_client("pop3")
    client.auth_ready()
    greeting = bytes(host.output).decode().strip()
    host.output.clear()
    challenge = greeting.split()[-1]
    client.feed(b"APOP alice " + b"0a" * 16 + b"\r\n")
    request = host.turns.popleft().__self__  # type: ignore[attr-defined]
    assert request.mechanism == "APOP"
    assert request.answers == [challenge.encode() + b"\0alice\0" + b"\x0a" * 16]


def test_auth_with_a_long_ticket() -> None:
    client, host, _log = start()
    ticket = base64_plain(b"alice", b"x" * 5000)
    assert talk(client, host, b"a AUTHENTICATE PLAIN " + ticket + b"\r\n").startswith(
        b"a NO [AUTHENTICATIONFAILED]"
    )
    client, host, log = start()
    talk(client, host, b"a AUTHENTICATE PLAIN " + b"x" * 9000)
    assert host.closed
    assert log[-1].startswith("Disconnected: Authentication response too large (")


def test_memory_is_bounded_whatever_comes() -> None:
    for protocol in ("imap", "pop3"):
        client, host, _log = start(protocol)
        for _ in range(100):
            if host.closed:
                break
            client.feed(b"x" * 4096)
        assert host.closed
        assert len(client._buffer) <= 9000


def test_nul_never_cuts_a_string() -> None:
    client, host, _log = start()
    out = talk(client, host, b"a LOGIN {11+}\r\nalice\0wonde {6+}\r\nwonder\r\n")
    assert out.startswith(b"a BAD NULs not allowed in literals\r\n")
    assert host.given is None
