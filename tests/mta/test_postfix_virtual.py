"""Postfix with virtual users, as docs/postfix.md says: it asks us who may send, and hands us the mail."""

import base64
import imaplib
import poplib
import shutil
import smtplib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mta.virtual import VirtualHost, virtual_host
from tests.support.postfix import postfix_missing
from tests.support.saslclient import DigestClient, ScramClient

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(bool(postfix_missing()), reason=postfix_missing() or "installed"),
]
USER, PASSWORD = "alice@example.test", "wonder"


@pytest.fixture(scope="module")
def host() -> Iterator[VirtualHost]:
    with virtual_host() as made:
        yield made


MESSAGE = (
    b"From: sender@elsewhere.test\r\nTo: alice@example.test\r\nSubject: pushed\r\n"
    b"Message-ID: <1@elsewhere.test>\r\nDate: Tue, 24 Nov 2026 06:00:00 +0000\r\n\r\n"
    b"Gr\xc3\xbc\xc3\x9fe\r\n.\r\n..dots\r\nFrom here\r\n" + b"x" * 990 + b"\r\n"
)


def test_relaying_without_login_is_refused(host: VirtualHost) -> None:
    with smtplib.SMTP("127.0.0.1", host.postfix.port, timeout=60) as client:
        client.ehlo("client.test")
        client.mail("sender@elsewhere.test")
        code, text = client.rcpt("somebody@other.test")
        assert code == 454 or code == 554, text
        assert b"Relay access denied" in text


def test_a_wrong_password_is_refused(host: VirtualHost) -> None:
    client = smtplib.SMTP("127.0.0.1", host.postfix.port, timeout=60)
    with client, pytest.raises(smtplib.SMTPException):
        client.login(USER, "wander")
    host.postfix.wait_log("SASL")


Talk = Callable[[bytes], bytes]


@dataclass
class Plain:
    name = "PLAIN"

    def run(self, talk: Talk) -> None:
        talk(f"\0{USER}\0{PASSWORD}".encode())


@dataclass
class Login:
    name = "LOGIN"

    def run(self, talk: Talk) -> None:
        assert talk(b"") == b"Username:"
        assert talk(USER.encode()) == b"Password:"
        talk(PASSWORD.encode())


@dataclass
class Scram:
    name: str

    def run(self, talk: Talk) -> None:
        digest = "sha1" if self.name == "SCRAM-SHA-1" else "sha256"
        client = ScramClient(digest, USER.encode(), PASSWORD.encode())
        assert client.check(talk(client.final(talk(client.first()))))
        talk(b"")


@dataclass
class Digest:
    name = "DIGEST-MD5"

    def run(self, talk: Talk) -> None:
        client = DigestClient(USER.encode(), PASSWORD.encode(), uri=b"smtp/localhost")
        assert client.check(talk(client.response(talk(b""))))
        talk(b"")


def authenticate(client: smtplib.SMTP, mechanism: Plain | Login | Scram | Digest) -> None:
    """RFC 4954, with the first answer sent when it is asked for."""
    code, text = client.docmd("AUTH", mechanism.name)
    state = {"code": code, "text": text, "first": True}

    def talk(answer: bytes) -> bytes:
        if state["first"]:
            state["first"] = False
            assert state["code"] == 334, state
            if not answer:  # the mechanism waits for the server's first word
                return base64.b64decode(bytes(state["text"]))  # type: ignore[call-overload]
        state["code"], state["text"] = client.docmd(base64.b64encode(answer).decode())
        assert state["code"] in (334, 235), state
        said = state["text"]
        assert isinstance(said, bytes)
        return base64.b64decode(said) if state["code"] == 334 else b""

    mechanism.run(talk)
    assert state["code"] == 235, state


@pytest.mark.parametrize(
    "mechanism",
    [Plain(), Login(), Scram("SCRAM-SHA-1"), Scram("SCRAM-SHA-256"), Digest()],
    ids=lambda mechanism: str(mechanism.name),
)
def test_relaying_after_login(host: VirtualHost, mechanism: Plain | Login | Scram | Digest) -> None:
    with smtplib.SMTP("127.0.0.1", host.postfix.port, timeout=60) as client:
        assert mechanism.name.encode() in client.ehlo("client.test")[1]
        authenticate(client, mechanism)
        assert client.mail("alice@example.test")[0] == 250
        assert client.rcpt("somebody@other.test")[0] == 250


def test_cram_md5_as_the_library_speaks_it(host: VirtualHost) -> None:
    with smtplib.SMTP("127.0.0.1", host.postfix.port, timeout=60) as client:
        client.ehlo("client.test")
        client.user, client.password = USER, PASSWORD
        assert client.auth("CRAM-MD5", client.auth_cram_md5)[0] == 235
        assert client.mail("alice@example.test")[0] == 250
        assert client.rcpt("somebody@other.test")[0] == 250


def test_mail_is_pushed_and_read(host: VirtualHost) -> None:
    idle = imaplib.IMAP4("127.0.0.1", host.server.imap, timeout=60)
    idle.login(USER, PASSWORD)
    idle.select("INBOX")
    idle.send(b"i IDLE\r\n")
    assert idle.readline().startswith(b"+")
    with smtplib.SMTP("127.0.0.1", host.postfix.port, timeout=60) as client:
        client.sendmail("sender@elsewhere.test", [USER], MESSAGE, ["BODY=8BITMIME"])
    assert idle.readline() == b"* 1 EXISTS\r\n"
    idle.send(b"DONE\r\n")
    idle.shutdown()
    with imaplib.IMAP4("127.0.0.1", host.server.imap, timeout=60) as imap:
        imap.login(USER, PASSWORD)
        imap.select("INBOX")
        answer = imap.fetch("1", "(BODY.PEEK[])")[1][0]
        assert isinstance(answer, tuple)
        by_imap = answer[1]
    pop = poplib.POP3("127.0.0.1", host.server.pop3, timeout=60)
    pop.user(USER)
    pop.pass_(PASSWORD)
    by_pop = b"\r\n".join(pop.retr(1)[1]) + b"\r\n"
    pop.quit()
    assert by_imap == by_pop
    assert by_imap.endswith(MESSAGE)
    added = by_imap[: -len(MESSAGE)].decode()
    trace = f"Return-Path: <sender@elsewhere.test>\r\nDelivered-To: {USER}\r\nReceived: from "
    assert added.startswith(trace)


def test_an_unknown_user_bounces_at_once(host: VirtualHost) -> None:
    with smtplib.SMTP("127.0.0.1", host.postfix.port, timeout=60) as client:
        client.sendmail("alice@example.test", ["nobody@example.test"], b"Subject: x\r\n\r\nx\r\n")
    host.postfix.wait_log("User doesn't exist: nobody@example.test")


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks(host: VirtualHost, mechanism: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            "swaks", "--server", f"127.0.0.1:{host.postfix.port}", "--from", USER, "--to", "bob@example.test",
            "--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD, "--helo", "client.test",
            "--header", f"Subject: swaks {mechanism}", "--hide-all",
        ],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    host.server.wait_log("lmtp(bob@example.test)")
