"""LMTP deliveries on running servers, ours and Dovecot's: what is in the files and in the log."""

import os
import re
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.ports import free_ports
from tests.support.serverconf import ServerDir
from tests.support.wire import WireConnection

MESSAGE = b"Subject: t\r\nMessage-ID: <m@x>\r\n\r\nb\r\n"
USERS = ("alice", "bob", "carol@example.org")
CONF = """\
protocols = imap pop3 lmtp
hostname = mx.example.org
login_trusted_networks = 127.0.0.0/8
passdb {{
  driver = passwd-file
  args = {root}/users
}}
userdb {{
  driver = passwd-file
  args = {root}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""


class Server:
    """A running server with its LMTP port."""

    def __init__(self, program: str, extra: str = "") -> None:
        self.place = ServerDir.make()
        (self.port,) = free_ports(1)
        uid, gid = self.place.mail_uid, self.place.mail_gid
        users = self.place.root / "users"
        users.write_text(
            "".join(f"{user}:{{PLAIN}}x:{uid}:{gid}::{self.place.home(user)}::\n" for user in USERS)
        )
        users.chmod(0o644)
        kind = DovecotInstance if program == "dovecot" else Cluster
        conf = CONF.format(root=self.place.root, port=self.port) + extra
        self.running: Cluster | DovecotInstance = kind(conf, static_users=False, place=self.place)
        self.running.start()

    def files(self, user: str, folder: str = "") -> list[Path]:
        maildir = self.place.maildir(user) / folder
        found = [path for sub in ("new", "cur") for path in (maildir / sub).glob("*")]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def wait_log(self, pattern: str) -> str:
        for _ in range(1200):
            found = re.search(pattern, self.place.log_text(), re.MULTILINE)
            if found:
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"not logged: {pattern}\n{self.place.log_text()[-3000:]}")

    def unix(self) -> "Client":
        return Client(WireConnection(str(self.place.run / "lmtp")))

    def tcp(self) -> "Client":
        return Client(WireConnection(self.port))


class Client:
    """An MTA."""

    def __init__(self, connection: WireConnection | ssl.SSLSocket) -> None:
        self.connection = connection
        self.rest = b""
        self.greeting = self.reply()

    def reply(self) -> str:
        lines = []
        while True:
            while b"\r\n" not in self.rest:
                if isinstance(self.connection, WireConnection):
                    more = self.connection.receive()
                else:
                    more = self.connection.recv(65536)
                assert more, f"closed after {lines}"
                self.rest += more
            line, _, self.rest = self.rest.partition(b"\r\n")
            lines.append(line.decode())
            if line[3:4] != b"-":
                return "\n".join(lines)

    def send(self, data: bytes) -> None:
        if isinstance(self.connection, WireConnection):
            self.connection.send(data)
        else:
            self.connection.sendall(data)

    def say(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def deliver(self, *recipients: str, message: bytes = MESSAGE, sender: str = "a@b") -> list[str]:
        assert self.say(f"MAIL FROM:<{sender}>") == "250 2.1.0 OK"
        for recipient in recipients:
            assert self.say(f"RCPT TO:<{recipient}>") == "250 2.1.5 OK"
        assert self.say("DATA") == "354 OK"
        self.send(message + b".\r\n")
        return [self.reply() for _ in recipients]

    def start_tls(self) -> None:
        assert self.say("STARTTLS") == "220 2.0.0 Begin TLS negotiation now."
        assert isinstance(self.connection, WireConnection)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.connection = context.wrap_socket(self.connection._sock)
        self.connection.settimeout(60)

    def close(self) -> None:
        self.connection.close()


PROGRAMS = [
    pytest.param("ours", marks=pytest.mark.process),
    pytest.param(
        "dovecot",
        marks=[
            pytest.mark.compat,
            pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed"),
        ],
    ),
]
Start = Callable[[str], Server]


@pytest.fixture(params=PROGRAMS)
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    running: list[Server] = []

    def begin(extra: str = "") -> Server:
        running.append(Server(request.param, extra))
        return running[-1]

    yield begin
    for one in running:
        one.running.close()


def text_of(path: Path) -> str:
    """A message file with what differs from run to run taken out."""
    text = path.read_bytes().decode("latin-1")
    text = re.sub(r"\tid [A-Za-z0-9+/]{22}", "\tid ID", text)
    return re.sub(r"; \w{3}, .* [+-]\d{4}\n", "; DATE\n", text, count=1)


def test_one_recipient(start: Start) -> None:
    server = start("")
    client = server.unix()
    client.say("LHLO h")
    (answer,) = client.deliver("carol+lists@Example.ORG", sender='"odd name"@b')
    assert re.fullmatch(r"250 2\.0\.0 <carol\+lists@Example\.ORG> [A-Za-z0-9+/]{22} Saved", answer)
    client.close()
    (path,) = server.files("carol@example.org")
    assert text_of(path) == (
        'Return-Path: <"odd name"@b>\nDelivered-To: carol+lists@Example.ORG\n'
        "Received: from h\n\tby mx.example.org with LMTP\n\tid ID\n"
        '\t(envelope-from <"odd name"@b>)\n\tfor <carol+lists@Example.ORG>; DATE\n'
        "Subject: t\nMessage-ID: <m@x>\n\nb\n"
    )
    status = path.stat()
    assert (status.st_uid, status.st_gid) == (server.place.mail_uid, server.place.mail_gid)
    assert re.search(rf",S={status.st_size},W=\d+$", path.name)
    session = re.escape(answer.split()[3])
    server.wait_log(rf"lmtp\(carol@example\.org\)<\d+><{session}>: Info: msgid=<m@x>: saved mail to INBOX$")
    server.wait_log(r"lmtp\(\d+\): Info: Connect from local$")
    server.wait_log(r"lmtp\(\d+\): Info: Disconnect from local: Connection closed \(state=READY\)$")


def test_many_recipients_have_one_file(start: Start) -> None:
    server = start("")
    client = server.unix()
    client.say("LHLO h")
    client.deliver("alice", "bob", message=b"Subject: x\r\n\r\nlone\rcr\nlf \0 nul\r\n..dot\r\n")
    client.close()
    (one,), (other,) = server.files("alice"), server.files("bob")
    assert os.path.samefile(one, other)
    assert text_of(one) == (
        "Return-Path: <a@b>\nReceived: from h\n\tby mx.example.org with LMTP\n\tid ID\n"
        "\t(envelope-from <a@b>); DATE\nSubject: x\n\nlone\rcr\nlf \0 nul\n.dot\n"
    )


def test_tcp_xclient_and_tls(start: Start) -> None:
    server = start("")
    client = server.tcp()
    assert client.greeting == "220 mx.example.org Dovecot ready." or "Debian" in client.greeting
    assert client.say("LHLO [1.2.3.4]").splitlines()[-3:] == [
        "250-STARTTLS",
        "250-XCLIENT ADDR PORT PROTO HELO LOGIN SESSION TTL TIMEOUT",
        "250 XRCPTFORWARD",
    ]
    client.deliver("bob")
    assert client.say("XCLIENT ADDR=x") == "501 5.5.4 Invalid ADDR parameter"
    assert client.say("XCLIENT ADDR=192.0.2.9 PORT=77 PROTO=ESMTP SESSION=abc LOGIN=joe").startswith("220 ")
    client.say("LHLO tcp2")
    assert client.deliver("bob") == ["250 2.0.0 <bob> abc:T2 Saved"]
    client.start_tls()
    assert "STARTTLS" not in client.say("LHLO tls")
    assert client.deliver("bob") == ["250 2.0.0 <bob> abc:T3 Saved"]
    assert client.say("STARTTLS") == "502 5.5.1 TLS is already active."
    assert client.say("QUIT") == "221 2.0.0 Bye"
    client.close()
    texts = [text_of(path) for path in server.files("bob")]
    assert "Received: from [1.2.3.4] ([127.0.0.1])\n\tby mx.example.org with LMTP\n\tid ID\n" in texts[0]
    assert "Received: from tcp2 ([192.0.2.9])\n\tby mx.example.org with LMTP\n\tid abc:T2\n" in texts[1]
    tls = r"Received: from tls \(\[192\.0\.2\.9\]\)\n\t\(using TLSv1\.3 with cipher \w+ \(\d+/\d+ bits\)\)\n"
    assert re.search(tls + r"\tby mx\.example\.org with LMTPS\n", texts[2])
    server.wait_log(r"Info: Disconnect from .*: Logged out \(state=READY\)$")


def test_detail_mailboxes(start: Start) -> None:
    server = start("lmtp_save_to_detail_mailbox = yes\n")
    client = server.unix()
    client.say("LHLO h")
    client.deliver("alice+Work")
    client.deliver("alice+.bad/../x")
    client.deliver("alice+")
    client.close()
    assert len(server.files("alice")) == 3
    server.wait_log("save failed to open mailbox Work: Mailbox doesn't exist: Work$")
    server.wait_log(r"save failed to open mailbox \.bad/\.\./x: Invalid mailbox name: Begins with")


def test_detail_mailboxes_are_made(start: Start) -> None:
    made = "lda_mailbox_autocreate = yes\nlda_mailbox_autosubscribe = yes\n"
    server = start("lmtp_save_to_detail_mailbox = yes\n" + made)
    client = server.unix()
    client.say("LHLO h")
    client.deliver("alice+Work", "bob+Work")
    client.close()
    assert len(server.files("alice", ".Work")) == len(server.files("bob", ".Work")) == 1
    assert server.files("alice") == []
    assert (server.place.maildir("alice") / "subscriptions").read_text().endswith("Work\n")
    server.wait_log("saved mail to Work$")


@pytest.mark.parametrize("choice", ["none", "original"])
def test_delivered_to(start: Start, choice: str) -> None:
    server = start(f"lmtp_hdr_delivery_address = {choice}\nlmtp_add_received_header = no\n")
    client = server.unix()
    client.say("LHLO h")
    client.deliver("alice", sender="")
    client.say("MAIL FROM:<>")
    client.say("RCPT TO:<bob> ORCPT=rfc822;bobby+2Bx@example.com")
    client.say("DATA")
    client.send(MESSAGE + b".\r\n")
    client.reply()
    client.close()
    head = text_of(server.files("alice")[0]).split("Subject")[0]
    assert head == "Return-Path: <>\n"
    head = text_of(server.files("bob")[0]).split("Subject")[0]
    named = "Delivered-To: bobby+x@example.com\n" if choice == "original" else ""
    assert head == "Return-Path: <>\n" + named


@pytest.mark.parametrize("choice", ["none", "original", "final"])
def test_whom_the_received_field_names(start: Start, choice: str) -> None:
    server = start(f"lmtp_hdr_delivery_address = {choice}\n")
    client = server.unix()
    client.say("LHLO h")
    client.deliver("alice")
    client.say("MAIL FROM:<>")
    client.say("RCPT TO:<bob> ORCPT=rfc822;bobby@example.com")
    client.say("DATA")
    client.send(MESSAGE + b".\r\n")
    client.reply()
    client.close()
    named = [
        re.findall(r"^\tfor <(.*)>; ", text_of(server.files(user)[0]), re.MULTILINE) for user in USERS[:2]
    ]
    original = "bobby@example.com" if choice == "original" else "bob"
    assert named == ([[], []] if choice == "none" else [["alice"], [original]])


def test_log_format(start: Start) -> None:
    server = start("deliver_log_format = %$ from=<%f> subject=%s env=%e size=%p vsize=%w id=%m\n")
    client = server.unix()
    client.say("LHLO h")
    client.deliver("alice", message=b"From: A B <a@b>\r\nSubject: =?utf-8?q?=C3=A4?= x\r\n\r\nbody\r\n")
    client.close()
    (path,) = server.files("alice")
    size = path.stat().st_size
    vsize = size + path.read_bytes().count(b"\n")
    facts = rf"env=a@b size={size} vsize={vsize} id=unsp"
    server.wait_log(rf"saved mail to INBOX from=<.*a@b.*> subject=.* x {facts}")


def test_the_variables_of_the_log_format(start: Start) -> None:
    names = "msgid subject from from_envelope size vsize to_envelope storage_id"
    wanted = " ".join(f"{name}=%{{{name}}}" for name in names.split())
    server = start(f"deliver_log_format = %$ {wanted} d=%{{delivery_time}} s=%{{session_time}}.\n")
    client = server.unix()
    client.say("LHLO h")
    long = b"=?utf-8?q?gr=C3=BC=C3=9Fe?= " + b"x" * 100
    fields = b'From: "J. D." <jd@x.y>, other@z\r\nSubject: %s\r\nMessage-ID: <m@x> (c)\r\n' % long
    client.deliver("alice+d", message=fields + b"\r\nbody\r\n")
    client.deliver("bob", message=b"From: nobody\r\n\r\n", sender="")
    client.close()
    (path,) = server.files("alice")
    sizes = [int(number) for number in re.findall(r"[SW]=(\d+)", path.name)]
    server.wait_log(
        rf"saved mail to INBOX msgid=<m@x> subject=grüße x{{69}}\.\.\. from=jd@x\.y from_envelope=a@b"
        rf" size={sizes[0]} vsize={sizes[1]} to_envelope=alice\+d storage_id={re.escape(path.name)}"
        r" d=\d+ s=\d+\.$"
    )
    server.wait_log("INBOX msgid=unspecified subject= from= from_envelope=<?>? size=")


def test_too_many_at_once(start: Start) -> None:
    server = start("lmtp_user_concurrency_limit = 1\n")
    one, other = server.unix(), server.unix()
    for client in (one, other):
        client.say("LHLO h")
        client.say("MAIL FROM:<a@b>")
    assert one.say("RCPT TO:<alice>") == "250 2.1.5 OK"
    refused = "451 4.3.0 <{}> Too many concurrent deliveries for user"
    wait_for(lambda: other.say("RCPT TO:<alice+x>") == refused.format("alice+x"))
    assert one.say("RCPT TO:<alice>") == refused.format("alice")
    assert other.say("RCPT TO:<bob>") == "250 2.1.5 OK"
    assert one.say("RSET") == "250 2.0.0 OK"
    wait_for(lambda: other.say("RCPT TO:<alice>") == "250 2.1.5 OK")
    other.close()
    one.say("MAIL FROM:<a@b>")
    wait_for(lambda: one.say("RCPT TO:<alice>") == "250 2.1.5 OK")
    one.close()


def test_rawlog(start: Start) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = start(f"protocol lmtp {{\n  lmtp_rawlog_dir = {folder}\n}}\n")
        for _ in range(2):
            client = server.unix()
            client.say("LHLO h")
            assert client.deliver("alice")[0].startswith("250 ")
            client.say("QUIT")
            client.close()
        wait_for(lambda: len(list(Path(folder).iterdir())) == 4)
        names = sorted(path.name for path in Path(folder).iterdir())
        assert [re.sub(r"^\d{8}-\d{6}\.\d+\.[12]\.", "", name) for name in names] == ["in", "out"] * 2
        said, answered = ((Path(folder) / name).read_bytes().splitlines() for name in names[:2])
        assert (Path(folder) / names[0]).stat().st_mode & 0o777 == 0o600
        lines = [re.sub(rb"^\d{10}\.\d{6} ", b"", line) for line in said]
        assert lines[:5] == [b"LHLO h", b"MAIL FROM:<a@b>", b"RCPT TO:<alice>", b"DATA", b"Subject: t"]
        assert lines[-2:] == [b".", b"QUIT"]
        assert answered[0].split(b" ")[1] == b"220" and answered[-1].endswith(b" 221 2.0.0 Bye")


def test_the_log_tells_where_a_client_left(start: Start) -> None:
    server = start("")
    for lines, state in (
        (["LHLO h"], "READY"),
        (["LHLO h", "MAIL FROM:<>"], "MAIL FROM"),
        (["LHLO h", "MAIL FROM:<>", "RCPT TO:<bob>"], "RCPT TO"),
        (["LHLO h", "MAIL FROM:<>", "RCPT TO:<bob>", "DATA"], "DATA"),
    ):
        client = server.unix()
        for line in lines:
            client.say(line)
        client.close()
        server.wait_log(rf"Disconnect from local: Connection closed.* \(state={state}\)$")


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds, for as long as a slow machine may take."""
    for _ in range(300):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_a_mailbox_that_cannot_be_written(start: Start) -> None:
    server = start("")
    client = server.unix()
    client.say("LHLO h")
    client.deliver("alice", "bob")
    place = server.place.maildir("alice")
    modes = {path: path.stat().st_mode & 0o777 for path in (place, place / "tmp", place / "new")}
    if os.geteuid() == 0:
        for path in modes:
            os.chown(path, 0, 0)
    for path in modes:
        path.chmod(0o500)
    answers = client.deliver("alice", "bob")
    for path, mode in modes.items():
        path.chmod(mode)
    client.close()
    assert answers[0].startswith("451 4.2.0 <alice> ") or answers[0].startswith("451 4.3.0 <alice> ")
    assert answers[1].startswith("250 2.0.0 <bob> ")
    assert len(server.files("bob")) == 2
    server.wait_log("lmtp.*(Error: |save failed to INBOX: Permission denied)")


def test_half_a_message_is_nobodys(start: Start) -> None:
    server = start("")
    client = server.unix()
    client.say("LHLO h")
    client.say("MAIL FROM:<a@b>")
    client.say("RCPT TO:<alice>")
    client.say("DATA")
    client.send(b"Subject: half")
    client.close()
    server.wait_log(r"Disconnect from local: Connection closed \(unfinished DATA command\) \(state=DATA\)$")
    assert server.files("alice") == []


def test_large_messages_wait_on_disk(start: Start) -> None:
    server = start("")
    client = server.unix()
    client.say("LHLO h")
    body = b"".join(b"line %d of many\r\n" % number for number in range(60_000))
    client.deliver("alice", message=b"Subject: large\r\n\r\n" + body)
    client.close()
    (path,) = server.files("alice")
    assert path.read_bytes().endswith(b"Subject: large\n\n" + body.replace(b"\r\n", b"\n"))


@pytest.mark.process
def test_a_full_temp_dir_is_told_to_each_recipient() -> None:
    server = Server("ours", "mail_temp_dir = /nonexistent-folder\n")
    try:
        client = server.unix()
        client.say("LHLO h")
        answers = client.deliver("alice", "bob", message=b"x" * 200_000 + b"\r\n")
        assert answers == ["451 4.3.0 Temporary internal failure"] * 2
        assert client.deliver("alice")[0].startswith("250 ")
        client.close()
        assert server.files("bob") == []
    finally:
        server.running.close()


@pytest.mark.process
def test_a_stop_is_said_to_a_waiting_client() -> None:
    server = Server("ours")
    client = server.unix()
    client.say("LHLO h")
    server.running.stop()
    assert client.reply() == "421 4.3.2 mx.example.org Shutting down"
    client.close()
    server.running.close()


def test_users_that_cannot_be_looked_up(start: Start) -> None:
    server = start("protocol lmtp {\n  auth_socket_path = /nonexistent\n}\n")
    client = server.unix()
    client.say("LHLO h")
    client.say("MAIL FROM:<a@b>")
    assert client.say("RCPT TO:<alice+x>") == "451 4.3.0 <alice+x> Temporary internal error"
    assert client.say("DATA") == "503 5.5.0 No valid recipients"
    client.close()
    server.wait_log(r"connect\(/nonexistent\) failed: No such file or directory$")
    server.wait_log("Failed to lookup user alice: ")
