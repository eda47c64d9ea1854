"""dovecot-lda, ours and Dovecot's, on running servers: exit statuses, files, log lines, rejections."""

import imaplib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.process.test_lmtp import PROGRAMS, Server
from tests.support.ordinary import python_for_everyone

DOVECOT_LDA = "/usr/lib/dovecot/dovecot-lda"
MESSAGE = b"Subject: t\nMessage-ID: <m@x>\nFrom: A <a@b>\n\nb\n"
EVERYBODY = """\
service auth {
  unix_listener auth-userdb {
    mode = 0666
  }
}
"""


class Lda:
    """The delivery program of one server."""

    def __init__(self, program: str, extra: str = "") -> None:
        self.server = Server(program, EVERYBODY + extra)
        self.program = program
        self.place = self.server.place
        self.place.log.touch()
        self.place.log.chmod(0o666)

    def run(
        self,
        *arguments: str,
        message: bytes = MESSAGE,
        uid: int | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        command, more = [DOVECOT_LDA], {"PATH": os.environ["PATH"]}
        if self.program == "ours":
            python, everyone = ([sys.executable], {}) if uid is None else python_for_everyone()
            command = [*python, "-m", "pydovecot.cli.lda"]
            more |= everyone
        return subprocess.run(
            [*command, "-c", str(self.server.running.conf), *arguments],
            input=message, capture_output=True, timeout=60, check=False, user=uid, group=uid,
            extra_groups=None if uid is None else [], env=more | (env or {}),
        )  # fmt: skip


@pytest.fixture(scope="module", params=PROGRAMS)
def lda(request: pytest.FixtureRequest) -> Iterator[Lda]:
    made = Lda(request.param)
    yield made
    made.server.running.close()


def fresh(lda: Lda, user: str, folder: str = "") -> list[bytes]:
    """Delivered since the last time; they are taken away."""
    found = lda.server.files(user, folder)
    contents = [path.read_bytes() for path in found]
    for path in found:
        path.unlink()
    return contents


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which the MTA has")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("-x",), 64, "Usage: dovecot-lda "),
        (("-d", "alice", "extra"), 64, "Unknown argument: extra"),
        (("-d", "no-such-user"), 67, ""),
        (("-d", "alice", "-p", "/nonexistent"), 75, ""),
        pytest.param((), 64, "destination user parameter (-d user) not given", marks=needs_root),
    ],
    ids=["option", "argument", "user", "file", "nobody"],
)
def test_refusals(lda: Lda, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = lda.run(*arguments)
    assert done.returncode == status, done
    assert said in (done.stdout + done.stderr).decode()
    assert lda.server.files("alice") == []


def test_a_delivery(lda: Lda) -> None:
    done = lda.run("-d", "alice")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (path,) = lda.server.files("alice")
    assert path.stat().st_uid == lda.place.mail_uid
    assert fresh(lda, "alice") == [MESSAGE]
    lda.server.wait_log(r"lda\(alice\)<\d+><[A-Za-z0-9+/]{22}>: Info: msgid=<m@x>: saved mail to INBOX$")


@pytest.mark.parametrize(
    ("message", "stored"),
    [
        (b"From mbox@x  Tue Nov 24 06:04:15 2026\nSubject: mbox\n\nb\n.\n", b"Subject: mbox\n\nb\n.\n"),
        (b"Subject: x\r\n\r\ncrlf\r\n", b"Subject: x\n\ncrlf\n"),
        (b"", b""),
        (b"From: no line of an mbox\n\nFrom here\n", b"From: no line of an mbox\n\nFrom here\n"),
        (b"no end", b"no end"),
    ],
    ids=["mbox", "crlf", "empty", "from header", "no end"],
)
def test_what_is_stored(lda: Lda, message: bytes, stored: bytes) -> None:
    assert lda.run("-d", "bob", "-f", "a@b", message=message).returncode == 0
    assert fresh(lda, "bob") == [stored]


@needs_root
def test_a_file_instead_of_standard_input(lda: Lda) -> None:
    mail = lda.place.root / "mail-to-deliver"
    mail.write_bytes(b"Subject: p\r\n\r\nbody\r\n")
    mail.chmod(0o644)
    assert lda.run("-d", "bob", "-p", str(mail), message=b"").returncode == 0
    assert fresh(lda, "bob") == [b"Subject: p\n\nbody\n"]


def test_another_mailbox(lda: Lda) -> None:
    assert lda.run("-d", "bob", "-m", "Work").returncode == 0
    assert fresh(lda, "bob") == [MESSAGE]
    lda.server.wait_log("save failed to open mailbox Work: Mailbox doesn't exist: Work$")
    assert lda.run("-d", "bob", "-m", "Work", "-o", "lda_mailbox_autocreate=yes").returncode == 0
    assert fresh(lda, "bob", ".Work") == [MESSAGE]
    lda.server.wait_log("saved mail to Work$")


@needs_root
def test_a_user_delivers_to_itself(lda: Lda) -> None:
    home = lda.place.home("self")
    home.mkdir(exist_ok=True)
    os.chown(home, lda.place.mail_uid, lda.place.mail_gid)
    env = {"USER": "self", "HOME": str(home)}
    done = lda.run(uid=lda.place.mail_uid, env=env)
    assert done.returncode == 0, done
    assert fresh(lda, "self") == [MESSAGE]
    # auth-userdb tells a user about itself.
    assert lda.run("-d", "alice", uid=lda.place.mail_uid).returncode == 0
    assert fresh(lda, "alice") == [MESSAGE]


@needs_root
def test_nobody_delivers_to_others(lda: Lda) -> None:
    done = lda.run("-d", "alice", uid=65534)
    assert done.returncode == 75, done
    assert lda.server.files("alice") == []


def test_a_log_that_cannot_be_written_is_no_delivery(lda: Lda) -> None:
    done = lda.run("-d", "alice", "-o", "log_path=/nonexistent/log")
    assert done.returncode == 75
    assert b"open log file /nonexistent/log" in done.stderr
    assert lda.server.files("alice") == []


def test_reading_the_result_over_imap(lda: Lda) -> None:
    assert lda.run("-d", "carol@example.org").returncode == 0
    with imaplib.IMAP4("127.0.0.1", lda.server.running.imap, timeout=60) as client:
        client.login("carol@example.org", "x")
        client.select("INBOX")
        answer = client.fetch("1", "(RFC822)")[1]
        assert isinstance(answer[0], tuple)
        assert answer[0][1] == MESSAGE.replace(b"\n", b"\r\n")


def test_many_at_once(lda: Lda) -> None:
    """Each has its own message, and none is lost to another's lock."""
    with ThreadPoolExecutor(4) as pool:
        messages = [b"Subject: %d\n\n" % number for number in range(8)]
        done = list(pool.map(lambda message: lda.run("-d", "bob", message=message).returncode, messages))
    assert done == [0] * 8
    assert sorted(fresh(lda, "bob")) == messages


def test_log_lines_hold_no_control_characters(lda: Lda) -> None:
    assert lda.run("-d", "bob", message=b"Message-ID: <a\x1b[31m\x07b>\n\nx\n").returncode == 0
    fresh(lda, "bob")
    lda.server.wait_log(r"lda\(bob\).*: saved mail")
    assert not re.search(r"[\x07\x1b]", lda.place.log_text())


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("-m", "a\udcffb"), 75, b"Fatal: Mailbox name not UTF-8: a"),
        (("-a", "broken <"), 64, b"Fatal: Invalid -a parameter: Invalid character in path\n"),
        (("-a", ""), 64, b"Fatal: Invalid -a parameter: Path is empty string\n"),
        (("-r", "bro ken"), 64, b"Fatal: Invalid -r parameter: Invalid character in "),
        (("-o", "mail_debug"), 75, b"Invalid -o parameter mail_debug: Missing '='\n"),
        (("-o", "mail_debug=perhaps"), 75, b"-o parameter mail_debug=perhaps: Invalid boolean value: "),
        (("-o", "first_valid_uid=4000000000"), 75, b""),
        (("-o", "auth_socket_path=/nonexistent"), 75, b""),
    ],
)  # fmt: skip
def test_what_makes_no_sense(lda: Lda, arguments: tuple[str, ...], status: int, said: bytes) -> None:
    done = lda.run("-d", "alice", *arguments)
    assert (done.returncode, done.stdout) == (status, b"")
    assert said in done.stderr and bool(said) == bool(done.stderr)
    assert fresh(lda, "alice") == []


@pytest.mark.parametrize(
    ("arguments", "message", "sender", "recipient"),
    [
        ((), MESSAGE, "MAILER-DAEMON", "alice@mx.example.org"),
        (("-f", ""), MESSAGE, "", "alice@mx.example.org"),
        (("-f", "<>", "-r", "final@x"), MESSAGE, "", "alice@mx.example.org"),
        (("-f", "<x@y>", "-a", "orig@dom"), MESSAGE, "x@y", "orig@dom"),
        (("-f", "a b@c", "-a", "<orig@dom>", "-r", "final@x"), MESSAGE, "", "orig@dom"),
        (("-f", '"o d"@b'), MESSAGE, '"o d"@b', "alice@mx.example.org"),
        ((), b"From me@there Tue Nov 24 06:04:15 2026\n" + MESSAGE, "me@there", "alice@mx.example.org"),
        (("-f", "a@b"), b"From me@there Tue Nov 24 06:04:15 2026\n" + MESSAGE, "a@b", "alice@mx.example.org"),
        (("-o", "lda_original_recipient_header=X-To"), b"X-To: <o@d>\n" + MESSAGE, "MAILER-DAEMON", "o@d"),
    ],
)  # fmt: skip
def test_sender_and_recipient(
    lda: Lda, arguments: tuple[str, ...], message: bytes, sender: str, recipient: str
) -> None:
    number = len(lda.place.log_text())
    log = f"deliver_log_format=%$ n={number} e=<%e> to=<%{{to_envelope}}>"
    assert lda.run("-d", "alice", *arguments, "-o", log, message=message).returncode == 0
    expected = re.escape(f"saved mail to INBOX n={number} e=<{sender}> to=<{recipient}>")
    lda.server.wait_log(expected + "$")
    assert len(fresh(lda, "alice")) == 1


FULL = ("-o", "mail_plugins=quota", "-o", "plugin/quota=count:User quota", "-o", "plugin/quota_vsizes=yes")
FULL += ("-o", "plugin/quota_rule=*:messages=1")


@pytest.mark.parametrize(
    ("arguments", "fields", "told"),
    [
        (("-f", "s@d"), b"", "s@d"),
        ((), b"Return-Path: <rp@there>\n", "rp@there"),
        ((), b"", ""),
        (("-f", "s@d"), b"Auto-Submitted: auto-replied\n", ""),
        (("-f", "s@d"), b"Auto-Submitted: No\n", "s@d"),
    ],
    ids=["sender", "return path", "nobody", "automatic", "not automatic"],
)
def test_who_is_told_of_a_full_mailbox(
    lda: Lda, arguments: tuple[str, ...], fields: bytes, told: str
) -> None:
    sent = lda.place.root / "mail" / "sent"
    sendmail = lda.place.root / "sendmail"
    sendmail.write_text(f'#!/bin/sh\n(echo "$@"; cat) >{sent}\n')
    sendmail.chmod(0o755)
    sent.unlink(missing_ok=True)
    settings = (*FULL, "-o", f"sendmail_path={sendmail}")
    assert lda.run("-d", "bob", *settings).returncode == 0
    before = len(lda.place.log_text())
    done = lda.run("-d", "bob", *arguments, *settings, message=fields + MESSAGE)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(fresh(lda, "bob")) == 1
    text = "Quota exceeded (mailbox for user is full)"
    lines = re.findall(r"Info: (msgid=.*)", lda.place.log_text()[before:])
    assert lines[:2] == [f"msgid=<m@x>: save failed to INBOX: {text}", f"msgid=<m@x>: rejected: {text}"]
    if not told:
        assert not sent.exists()
        why = "Auto-submitted message discarded" if fields else "Return-Path missing, rejection reason"
        assert lines[2:] == [f"msgid=<m@x>: {why}: {text}"]
        return
    first, *rest = sent.read_text().replace("\r\n", "\n").split("\n")
    assert first == f"-i -f <> -- {told}"
    (boundary,) = re.findall('boundary="(.*)"', "\n".join(rest))
    unique = [re.sub("^(Message-ID|Date): .*", r"\1:", line.replace(boundary, "B")) for line in rest]
    original = (fields + MESSAGE).decode().partition("\n\n")[0].splitlines()
    assert unique == [
        "Message-ID:", "Date:", "From: Postmaster <postmaster@mx.example.org>", f"To: <{told}>",
        "MIME-Version: 1.0", "Content-Type: multipart/report; report-type=delivery-status;", '\tboundary="B"',
        "Subject: Rejected: t", "Auto-Submitted: auto-replied (rejected)", "Precedence: bulk", "",
        "This is a MIME-encapsulated message", "",
        "--B", "Content-Type: text/plain; charset=utf-8", "Content-Disposition: inline",
        "Content-Transfer-Encoding: 8bit", "",
        "Your message to <bob@mx.example.org> was automatically rejected:", text,
        "--B", "Content-Type: message/delivery-status", "", "Reporting-MTA: dns; mx.example.org",
        "Final-Recipient: rfc822; bob@mx.example.org", "Action: failed", "Status: 5.2.2", "",
        "--B", "Content-Type: message/rfc822", "",
        *[re.sub("^Message-ID: .*", "Message-ID:", line) for line in original], "", "", "", "--B--", "",
    ]  # fmt: skip
