"""Logins over IMAP and POP3 with every mechanism: our answers and log lines are Dovecot's.

Each case is one connection from an address of its own; it is made to both servers, and everything that they
say to the client and to the log about it is compared.
"""

import base64
import contextlib
import itertools
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.authority import Authority
from tests.support.cert import CertFiles
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.saslclient import DigestClient, ScramClient
from tests.support.serverconf import ServerDir

pytestmark = [
    pytest.mark.process,
    pytest.mark.compat,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed"),
]

CONF = """\
login_greeting = Ready.
auth_verbose = yes
auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 apop external anonymous
auth_realms = example.org
passdb {
  driver = passwd-file
  args = username_format=%%u %(root)s/denied
  deny = yes
}
passdb {
  driver = passwd-file
  args = username_format=%%u %(root)s/users
}
userdb {
  driver = static
  args = uid=%(uid)s gid=%(uid)s home=%(root)s/mail/%%u
}
"""
MASTER = """\
auth_master_user_separator = *
passdb {
  driver = passwd-file
  args = username_format=%%u %(root)s/masters
  master = yes
  result_success = continue
}
"""
CERTIFICATES = """\
ssl_ca = <%(root)s/ca.pem
ssl_verify_client_cert = yes
auth_ssl_username_from_cert = yes
"""
USERS = """\
alice:{PLAIN}wonder
cert:::::::nopassword=y
cert@example.org:::::::nopassword=y
closed:{PLAIN}wonder::::::nologin reason=Closed_for_today
closed2:{PLAIN}wonder::::::nologin
elsewhere:{PLAIN}wonder::::::nologin host=192.0.2.9 reason=Over_there
netter:{PLAIN}wonder::::::allow_nets=192.0.2.0/24
because:{PLAIN}wonder::::::fail=yes reason=Because
ssha:{SSHA}EXQX7h+Wn795KWsq6b+tSYhyM80AAQID
gone:{PLAIN}wonder
"""
CONFS = {
    "passwords": CONF + MASTER,
    "no masters": CONF + "auth_master_user_separator = *\n",
    "no plaintext": CONF + "disable_plaintext_auth = yes\n",
    "TLS first": CONF + "ssl = required\n",
    "certificates": CONF + CERTIFICATES,
    "certificates and masters": CONF + CERTIFICATES + MASTER,
    "certificate names": CONF + CERTIFICATES + "ssl_cert_username_field = emailAddress\n",
    "certificates without names": (CONF + CERTIFICATES).replace("from_cert = yes", "from_cert = no"),
    "required": CONF + CERTIFICATES + "auth_ssl_require_client_cert = yes\n",
    "required names": CONF
    + CERTIFICATES
    + "auth_ssl_require_client_cert = yes\nssl_cert_username_field = emailAddress\n",
    "no list": CONF + CERTIFICATES,
    "no list needed": CONF + CERTIFICATES + "ssl_require_crl = no\n",
}
ANSWER_SECS = 60.0
NUMBERS = itertools.count(1)


class Client:
    """One connection; `said` is what the server answered."""

    def __init__(self, port: int, source: str, *, tls: bool, cert: CertFiles | None) -> None:
        sock = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECS, source_address=(source, 0))
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if cert is not None:
                context.load_cert_chain(cert.cert, cert.key)
            sock = context.wrap_socket(sock)
        self._sock = sock
        self._file = sock.makefile("rb")
        self.greeting = self._file.readline()
        self.said: list[bytes] = []

    def ask(self, line: bytes) -> bytes:
        """Send a line; the line that answers it, after untagged ones."""
        self._sock.sendall(line + b"\r\n")
        while True:
            got = self._file.readline()
            self.said.append(got)
            more = got not in (b".\r\n", b"") if line == b"CAPA" else got.startswith(b"* ")
            if not more:
                return got

    def close(self) -> None:
        self._file.close()
        self._sock.close()


Script = Callable[[Client], None]


@dataclass
class Case:
    """A conversation. `ends`: the answer that both must give to its last line."""

    script: Script
    ends: bytes
    port: str = "imaps"
    cert: str = ""


def lines(*texts: bytes) -> Script:
    def run(client: Client) -> None:
        for text in texts:
            client.ask(text)

    return run


def b64(data: bytes) -> bytes:
    return base64.b64encode(data)


def challenge(answer: bytes) -> bytes:
    assert answer.startswith(b"+ "), answer
    return base64.b64decode(answer[2:])


def scram(name: str, digest: str, user: bytes, password: bytes, *, initial: bool = True) -> Script:
    def run(client: Client) -> None:
        prover = ScramClient(digest, user, password)
        command = verb(client) + name.encode()
        if initial:
            first = client.ask(command + b" " + b64(prover.first()))
        else:
            client.ask(command)
            first = client.ask(b64(prover.first()))
        if first.startswith(b"+ "):
            client.said.clear()  # nonces and salts differ
            second = client.ask(b64(prover.final(challenge(first))))
            if second.startswith(b"+ "):
                assert prover.check(challenge(second))
                client.said.clear()
                client.ask(b"")

    return run


def digest_md5(prover: Callable[[], DigestClient]) -> Script:
    def run(client: Client) -> None:
        made = prover()
        response = made.response(challenge(client.ask(verb(client) + b"DIGEST-MD5")))
        client.said.clear()
        answer = client.ask(b64(response))
        if answer.startswith(b"+ "):
            assert made.check(challenge(answer))
            client.said.clear()
            client.ask(b"")

    return run


def verb(client: Client) -> bytes:
    return b"b AUTHENTICATE " if client.greeting.startswith(b"* OK") else b"AUTH "


EXTERNAL = (b"b AUTHENTICATE EXTERNAL =",)
NO = b"b NO [AUTHENTICATIONFAILED] Authentication failed."
CERTS = ("", "cert", "alice", "revoked", "untrusted", "expired", "upper", "odd")


def plain(user: bytes, password: bytes, authzid: bytes = b"") -> bytes:
    return b64(authzid + b"\0" + user + b"\0" + password)


def certificates(
    good: tuple[str, ...], bad: bytes = NO, pop3: bytes = b"-ERR [AUTH] Authentication failed."
) -> Iterator[tuple[str, Case]]:
    """EXTERNAL with each of the certificates; only the `good` ones get in."""
    for name in CERTS:
        ends = b"b OK" if name in good else bad
        yield f"external {name}", Case(lines(b"a CAPABILITY", *EXTERNAL), ends, cert=name)
        if name in ("upper", "expired", "odd"):
            continue  # enough in one protocol
        ends = b"+OK Logged in." if name in good else pop3
        yield f"pop3 external {name}", Case(lines(b"CAPA", b"AUTH EXTERNAL ="), ends, "pop3s", name)


def _case_passwords() -> Iterator[tuple[str, Case]]:
    for port, ok, no in (("imaps", b"b OK", b"b NO"), ("imap", b"b OK", b"b NO"), ("pop3", b"+OK", b"-ERR")):
        for name, kind in (("SCRAM-SHA-1", "sha1"), ("SCRAM-SHA-256", "sha256")):
            yield f"{port} {name}", Case(scram(name, kind, b"alice", b"wonder"), ok, port)
            yield f"{port} {name} late", Case(scram(name, kind, b"alice", b"wonder", initial=False), ok, port)
            yield f"{port} {name} wrong", Case(scram(name, kind, b"alice", b"wander"), no, port)
            yield f"{port} {name} unknown", Case(scram(name, kind, b"nobody", b"wander"), no, port)
            yield f"{port} {name} hash", Case(scram(name, kind, b"ssha", b"wonder"), no, port)
        good, wrong = DigestClient(b"alice", b"wonder"), DigestClient(b"alice", b"wander")
        yield f"{port} digest", Case(digest_md5(lambda g=good: g), ok, port)  # type: ignore[misc]
        yield f"{port} digest wrong", Case(digest_md5(lambda w=wrong: w), no, port)  # type: ignore[misc]
    for text, ends in (
        (b"b LOGIN alice wonder", b"b OK"),
        (b"b LOGIN alice wander", NO),
        (b"b LOGIN nobody wonder", NO),
        (b"b LOGIN al:ice wonder", NO),
        (b'b LOGIN "" wonder', NO),
        (b"b LOGIN closed wonder", b"b NO [CONTACTADMIN]"),
        (b"b LOGIN closed2 wonder", b"b NO [CONTACTADMIN]"),
        (b"b LOGIN elsewhere wonder", b"b NO [REFERRAL"),
        (b"b LOGIN netter wonder", NO),
        (b"b LOGIN because wonder", NO),
        (b"b LOGIN gone wonder", NO),
        (b"b LOGIN alice*boss master", b"b OK"),
        (b"b LOGIN alice*boss wrong", NO),
        (b"b LOGIN nobody*boss master", b"b NO [AUTHORIZATIONFAILED]"),
        (b"b LOGIN *boss master", NO),
        (b"b LOGIN alice* master", NO),
        (b"b AUTHENTICATE PLAIN " + plain(b"boss", b"master", b"alice"), b"b OK"),
        (b"b AUTHENTICATE PLAIN " + plain(b"boss", b"master", b"gone"), b"b NO"),
        (b"b AUTHENTICATE PLAIN " + plain(b"alice", b"wonder", b"alice"), b"b OK"),
        (b"b AUTHENTICATE PLAIN " + plain(b"alice", b"wonder", b"gone"), NO),
        (b"b AUTHENTICATE ANONYMOUS " + b64(b"trace"), b"b OK"),
        (b"b AUTHENTICATE NO-SUCH", b"b NO"),
        (b"b AUTHENTICATE APOP " + b64(b"x"), b"b NO"),
        (b"b AUTHENTICATE EXTERNAL =", NO),
    ):
        yield text.decode("latin-1"), Case(lines(text), ends)
        yield text.decode("latin-1") + ", logout", Case(lines(text, b"NOOP"), b"")
    for name in ("alice", "closed", "because", "gone", "elsewhere"):
        user = b"USER " + name.encode()
        ends = b"+OK" if name == "alice" else b"-ERR"
        yield f"pop3 {name}", Case(lines(user, b"PASS wonder"), ends, "pop3s")


def _case_no_masters() -> Iterator[tuple[str, Case]]:
    yield "separator", Case(lines(b"b LOGIN alice*boss master"), NO)
    as_alice = ScramClient("sha1", b"gone", b"wonder", gs2=b"n,a=alice,")
    yield "scram", Case(lines(b"b AUTHENTICATE SCRAM-SHA-1 " + b64(as_alice.first())), NO)
    yield "authzid", Case(lines(b"b AUTHENTICATE PLAIN " + plain(b"gone", b"wonder", b"alice")), NO)
    as_other = DigestClient(b"gone", b"wonder", authzid=b"alice")
    yield "digest", Case(digest_md5(lambda: as_other), NO)


def _case_no_plaintext() -> Iterator[tuple[str, Case]]:
    refused = b"b NO [PRIVACYREQUIRED] Plaintext"
    yield "login", Case(lines(b"b LOGIN alice wonder"), refused, "imap")
    yield "login twice", Case(lines(b"a LOGIN alice wonder", b"b LOGIN alice wonder"), refused, "imap")
    yield "plain", Case(lines(b"a CAPABILITY", b"b AUTHENTICATE PLAIN"), refused, "imap")
    yield "scram", Case(scram("SCRAM-SHA-256", "sha256", b"alice", b"wonder"), b"b OK", "imap")
    yield "pop3", Case(lines(b"CAPA", b"USER alice"), b"-ERR", "pop3")
    yield "pop3 plain", Case(lines(b"AUTH PLAIN"), b"-ERR", "pop3")


def _case_tls_first() -> Iterator[tuple[str, Case]]:
    yield "login", Case(lines(b"b LOGIN alice wonder"), b"b NO", "imap")
    yield "scram", Case(lines(b"a CAPABILITY", b"b AUTHENTICATE SCRAM-SHA-256"), b"b NO", "imap")
    yield "pop3", Case(lines(b"CAPA", b"AUTH DIGEST-MD5"), b"-ERR", "pop3")


def _case_certificates() -> Iterator[tuple[str, Case]]:
    yield from certificates(("cert", "upper"))
    for authzid, ends in ((b"cert", b"b OK"), (b"alice", NO), (b"CERT", NO), (b"a b", NO)):
        text = b"b AUTHENTICATE EXTERNAL " + b64(authzid)
        yield f"as {authzid.decode()}", Case(lines(text), ends, cert="cert")
    yield "asked for it", Case(lines(b"b AUTHENTICATE EXTERNAL", b""), b"b OK", cert="cert")
    yield "login as somebody else", Case(lines(b"b LOGIN alice wander"), b"b OK", cert="cert")
    yield "login with a password", Case(lines(b"b LOGIN bob wonder"), b"b OK", cert="alice")
    yield "login without", Case(lines(b"b LOGIN alice wonder"), b"b OK")
    yield "login with a bad one", Case(lines(b"b LOGIN alice wonder"), b"b OK", cert="revoked")
    yield "without TLS", Case(lines(b"a CAPABILITY", *EXTERNAL), NO, "imap")
    yield "pop3 without TLS", Case(lines(b"CAPA", b"AUTH EXTERNAL ="), b"-ERR", "pop3")
    yield "scram", Case(scram("SCRAM-SHA-1", "sha1", b"alice", b"wonder"), b"b OK", cert="alice")


def _case_certificates_and_masters() -> Iterator[tuple[str, Case]]:
    for name, authzid, ends in (
        ("boss", b"alice", b"b OK"),
        ("boss", b"nobody", b"b NO [AUTHORIZATIONFAILED]"),
        ("cert", b"alice", NO),
    ):
        text = b"b AUTHENTICATE EXTERNAL " + b64(authzid)
        yield f"{name} as {authzid.decode()}", Case(lines(text), ends, cert=name)


def _case_certificate_names() -> Iterator[tuple[str, Case]]:
    yield from certificates(("cert",), b"b NO", b"-ERR [AUTH] ")
    yield "login", Case(lines(b"b LOGIN alice wonder"), b"b OK", cert="alice")
    yield "pop3", Case(lines(b"USER alice", b"PASS wonder"), b"+OK", "pop3s", "alice")
    yield "login without", Case(lines(b"b LOGIN alice wonder"), b"b OK")


def _case_required_names() -> Iterator[tuple[str, Case]]:
    yield from certificates(("cert",), b"b NO", b"-ERR [AUTH] ")
    refused = b"b NO [AUTHORIZATIONFAILED] Unable to validate certificate"
    yield "login", Case(lines(b"b LOGIN alice wonder"), refused, cert="alice")
    yield "login with a name", Case(lines(b"b LOGIN alice wonder"), b"b OK", cert="cert")
    yield "pop3", Case(lines(b"USER alice", b"PASS wonder"), b"-ERR", "pop3s", "alice")
    yield "scram", Case(lines(b"b AUTHENTICATE SCRAM-SHA-1"), refused, cert="alice")


def _case_certificates_without_names() -> Iterator[tuple[str, Case]]:
    yield from certificates(())
    yield "login", Case(lines(b"b LOGIN alice wonder"), b"b OK", cert="cert")


def _case_required() -> Iterator[tuple[str, Case]]:
    yield from certificates(("cert", "upper"), b"b NO", b"-ERR [AUTH] ")
    yield "login without", Case(lines(b"b LOGIN alice wonder"), b"b NO")
    yield "login with", Case(lines(b"b LOGIN alice wonder"), b"b OK", cert="alice")
    yield "login with a bad one", Case(lines(b"b LOGIN alice wonder"), b"b NO", cert="expired")
    yield "without TLS", Case(lines(b"b LOGIN alice wonder"), b"b NO", "imap")


def _case_no_list() -> Iterator[tuple[str, Case]]:
    yield from certificates(())


def _case_no_list_needed() -> Iterator[tuple[str, Case]]:
    yield from certificates(("cert", "upper", "revoked"))


CASES = {
    (conf, name): case
    for conf in CONFS
    for name, case in globals()["_case_" + conf.replace(" ", "_").lower()]()
}


@dataclass
class Pair:
    """Both servers with the same configuration, and the certificates that they know or do not."""

    servers: list[Cluster | DovecotInstance]
    certs: dict[str, CertFiles]
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


def _certificates(folder: Path) -> tuple[Authority, dict[str, CertFiles]]:
    good, other = Authority(folder), Authority(folder, "Other authority")
    made = {
        "cert": good.issue("cert", "cert@example.org"),
        "alice": good.issue("alice"),
        "boss": good.issue("boss"),
        "revoked": good.issue("cert", revoked=True),
        "untrusted": other.issue("cert", "cert@example.org"),
        "expired": good.issue("cert", "cert@example.org", days=-1),
        "upper": good.issue("CERT"),
        "odd": good.issue("nobody here"),
    }
    return good, made


class Pairs:
    """One pair at a time is running: tests come in the order of the configurations."""

    def __init__(self, folder: Path) -> None:
        self._authority, self._certs = _certificates(folder)
        self._name = ""
        self._stack = contextlib.ExitStack()
        self._pair = Pair([], self._certs)

    def get(self, name: str) -> Pair:
        if name != self._name:
            self.close()
            self._name = name
            for kind in (DovecotInstance, Cluster):
                server = self._start(name, kind)
                self._stack.callback(server.close)
                self._pair.servers.append(server)
        return self._pair

    def _start(self, name: str, kind: type[Cluster] | type[DovecotInstance]) -> Cluster | DovecotInstance:
        place = ServerDir.make()
        listed = b"" if name.startswith("no list") else self._authority.revocations()
        (place.root / "ca.pem").write_bytes(self._authority.pem() + listed)
        for file, text in (("users", USERS), ("denied", "gone:\n"), ("masters", "boss:{PLAIN}master\n")):
            (place.root / file).write_text(text)
            (place.root / file).chmod(0o644)
        if "masters" in name:  # EXTERNAL has no password
            (place.root / "masters").write_text("boss:::::::nopassword=y\n")
        conf = CONFS[name] % {"root": place.root, "uid": place.mail_uid}
        return kind(conf, static_users=False, place=place).start()

    def close(self) -> None:
        self._stack.close()
        self._pair.servers.clear()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pairs]:
    made = Pairs(tmp_path_factory.mktemp("certificates"))
    yield made
    made.close()


_DIFFERS = re.compile(rb" \(\d+\.\d+ \+ \d+\.\d+ secs\)|CAPABILITY [^\]\r]*NAMESPACE[^\]\r]*")
_LOG_DIFFERS = re.compile(r"^\w{3} \d\d [\d:]+ |(?<=, )session=<[^>]*>|,<[^>]*>(?=\))|mpid=\d+|in \d+ secs")


def play(server: Cluster | DovecotInstance, case: Case, certs: dict[str, CertFiles], source: str) -> Client:
    client = Client(
        getattr(server, case.port),
        source,
        tls=case.port.endswith("s"),
        cert=certs[case.cert] if case.cert else None,
    )
    try:
        case.script(client)
    finally:
        client.close()
    return client


def logged(server: Cluster | DovecotInstance, source: str) -> list[str]:
    """What the log says about a connection, once that has ended or logged in."""
    deadline = time.monotonic() + ANSWER_SECS
    while True:
        found = [line for line in server.place.log_text().splitlines() if f"{source}," in line]
        if any(" Login: " in line or "isconnected" in line for line in found):
            return sorted(_LOG_DIFFERS.sub("", line) for line in found)
        assert time.monotonic() < deadline, server.place.log_text()[-2000:]
        time.sleep(0.02)


@pytest.mark.parametrize(("conf", "name"), CASES)
def test_the_same_as_dovecot(pairs: Pairs, conf: str, name: str) -> None:
    case = CASES[conf, name]
    pair = pairs.get(conf)
    number = next(NUMBERS)
    source = f"127.2.{number // 250}.{number % 250 + 1}"  # nobody pays another's penalty
    said, logs = [], []
    for server in pair.servers:
        client = play(server, case, pair.certs, source)
        last = client.said[-1]
        assert last.startswith(case.ends), (server.name, client.said)
        said.append([_DIFFERS.sub(b"", line) for line in client.said])
        logs.append(logged(server, source))
    assert said[1] == said[0], f"\ndovecot: {said[0]}\nours: {said[1]}"
    assert logs[1] == logs[0], "\n".join(["", "dovecot:", *logs[0], "ours:", *logs[1]])


# Not DIGEST-MD5: curl does not understand algorithm="md5-sess" in quotes, as both servers send it.
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("conf", "url", "options"),
    [
        ("passwords", "imap", ("-u", "alice:wonder", "--login-options", "AUTH=LOGIN")),
        ("passwords", "imaps", ("-u", "alice:wonder", "--login-options", "AUTH=CRAM-MD5")),
        ("passwords", "pop3", ("-u", "alice:wonder", "--login-options", "AUTH=CRAM-MD5")),
        ("certificates", "imaps", ("-u", "cert:", "--login-options", "AUTH=EXTERNAL")),
        ("certificates", "pop3s", ("-u", "cert:", "--login-options", "AUTH=EXTERNAL")),
    ],
)
def test_curl(pairs: Pairs, conf: str, url: str, options: tuple[str, ...]) -> None:
    pair = pairs.get(conf)
    if "AUTH=EXTERNAL" in options:
        options += ("--cert", str(pair.certs["cert"].cert), "--key", str(pair.certs["cert"].key))
    shown = []
    for server in pair.servers:
        where = f"{url}://127.0.0.1:{getattr(server, url)}/"
        done = subprocess.run(
            ["curl", "-sS", "-k", *options, where], capture_output=True, timeout=60, check=True
        )
        shown.append(done.stdout)
        method = options[3].removeprefix("AUTH=")
        deadline = time.monotonic() + ANSWER_SECS
        while f"method={method}, rip=127.0.0.1" not in server.place.log_text():
            assert time.monotonic() < deadline, server.place.log_text()[-2000:]
            time.sleep(0.02)
    assert shown[1] == shown[0]
