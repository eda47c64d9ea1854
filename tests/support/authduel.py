"""The same questions about users to Dovecot's auth service and to ours, and all that they say and log.

    with Duel() as duel:
        theirs, mine = duel.ask(conf, [Login("alice", "secret"), Ask("USER", "alice")])

Ours is the auth service in memory (authlab.MemoryAuth), Dovecot's a running one, which is reloaded for each
`conf`: its end would take a second. `{dir}` in a `conf` is a directory in which `files` were written.
"""

import base64
import itertools
import re
import secrets
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from tests.support import authlab
from tests.support.dovecot import DovecotInstance
from tests.support.saslclient import ScramClient
from tests.support.serverconf import ServerDir, render

COMMON = """\
auth_failure_delay = 0
auth_verbose = yes
auth_mechanisms = plain login scram-sha-1 scram-sha-256
"""
LOG_SECS = 20.0
_PID = 4242
# Dovecot's lines: a time, and from workers who asked.
_HEAD = re.compile(
    r"^(?:.{16})?(?:auth|auth-worker\(\d+\)): (?P<level>\w+): "
    r"(?:conn unix:auth-worker \(pid=\d+,uid=\d+\): auth-worker<\d+>: )?"
)

_AGE = re.compile(r" \(created .*\)$")


@dataclass(frozen=True)
class Login:
    """A login; when it succeeds a mail process asks about the user. `more`: AUTH parameters."""

    user: str
    password: str
    more: str = "rip=10.0.0.7\tlip=10.0.0.200"
    service: str = "imap"
    mech: str = "PLAIN"
    authzid: str = ""


@dataclass(frozen=True)
class Ask:
    """USER or PASS; or LIST, where the user does not matter."""

    what: str
    user: str = ""
    more: str = "service=lmtp"


@dataclass(frozen=True)
class Write:
    """A file in {dir} gets another content; a second passes, so that everybody notices."""

    name: str
    text: str


@dataclass(frozen=True)
class Wait:
    """Time passes."""

    seconds: float


Question = Login | Ask | Write | Wait


@dataclass
class Said:
    """What one of them said: an answer for each question, and the log lines, sorted."""

    answers: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


class _Talk:
    """Open sockets of one side."""

    def __init__(self, lab: authlab.Harness, place: ServerDir, *, debug: bool) -> None:
        self._lab, self._place, self._debug = lab, place, debug
        self._ids = itertools.count(1)
        deadline = time.monotonic() + LOG_SECS
        # While Dovecot reloads, its old auth process may still take a connection, and then hang up.
        while not self._connect():
            assert time.monotonic() < deadline, lab.log_text()[-2000:]
            time.sleep(0.1)
        self._client.send(b"VERSION\t1\t2\nCPID\t%d\n" % _PID)
        self._master.send(b"VERSION\t1\t1\n")

    def _connect(self) -> bool:
        """Open both sockets; both must be of one process, and greet."""
        self._client = self._lab.connect("login/login")
        self._master = self._lab.connect("auth-master")
        greeting: list[bytes] = []
        for connection, end in ((self._client, b"DONE"), (self._master, b"SPID")):
            line = b"-"
            while line and not line.startswith(end):
                line = self._lab.line(connection, LOG_SECS) or b""
                greeting.append(line.rstrip(b"\n"))
        spids = [line for line in greeting if line.startswith(b"SPID")]
        if not all(greeting) or len(spids) != 2 or spids[0] != spids[1]:
            self.close()
            return False
        [cookie] = [line for line in greeting if line.startswith(b"COOKIE")]
        self._cookie = cookie.decode().split("\t")[1]
        return True

    def _line(self, connection: authlab.Connection) -> str:
        line = self._lab.line(connection, LOG_SECS)
        assert line, self._lab.log_text()[-2000:]
        return line.decode("utf-8", "surrogateescape").rstrip("\n")

    def close(self) -> None:
        self._client.close()
        self._master.close()

    def ask(self, questions: Sequence[Question]) -> Said:
        """Logins that follow each other are made at once: Dovecot tells failures twice a second."""
        said = Said()
        for kind, group in itertools.groupby(questions, type):
            if kind is Login:
                said.answers += self._logins([one for one in group if isinstance(one, Login)])
                continue
            for question in group:
                if isinstance(question, Ask):
                    said.answers.append(self._ask(question))
                    continue
                said.answers.append("")
                if isinstance(question, Write):
                    time.sleep(1.1)
                    write(self._place, {question.name: question.text})
                elif isinstance(question, Wait):
                    self._lab.wait(question.seconds)
        said.log = sorted(self._log())
        return said

    def _logins(self, questions: list[Login]) -> list[str]:
        talks: dict[int, Generator[str, str, None]] = {}
        answers: dict[int, str] = {}
        for question in questions:
            number = next(self._ids)
            talks[number], answers[number] = _login(number, question), ""
            self._client.send(next(talks[number]).encode("utf-8", "surrogateescape") + b"\n")
        while talks:
            answer = self._line(self._client)
            number = int(answer.split("\t")[1])
            try:
                line = talks[number].send(answer)
            except StopIteration:
                del talks[number]
                answers[number] = answer.replace(f"\t{number}", "", 1)
            else:
                self._client.send(line.encode() + b"\n")
        for number, answer in answers.items():
            if answer.startswith("OK"):
                request = f"REQUEST\t1\t{_PID}\t{number}\t{self._cookie}"
                answers[number] = f"{answer} | {self._master_says(request)}"
        return list(answers.values())

    def _master_says(self, line: str) -> str:
        self._master.send(line.encode("utf-8", "surrogateescape") + b"\n")
        return self._line(self._master)

    def _ask(self, question: Ask) -> str:
        if question.what != "LIST":
            return self._master_says(f"{question.what}\t2\t{question.user}\t{question.more}")
        self._master.send(f"LIST\t2\t{question.more}\n".encode())
        lines = [self._line(self._master)]
        while not lines[-1].startswith("DONE"):
            lines.append(self._line(self._master))
        return " | ".join([*sorted(lines[:-1]), lines[-1]])

    def _log(self) -> list[str]:
        """What was logged: all of it, as it comes in order, when this mark is there."""
        mark = f"MARK{secrets.token_hex(4)}"
        last = self._lab.connect("auth-master")
        last.send(f"VERSION\t1\t1\n{mark}\n".encode())
        deadline = time.monotonic() + LOG_SECS
        while mark not in self._lab.log_text():
            assert time.monotonic() < deadline
            self._lab.wait(0.02)
        last.close()
        found = []
        for line in self._lab.log_text().splitlines():
            head = _HEAD.match(line)
            if head is not None and mark not in line and (self._debug or head["level"] != "Debug"):
                text = _AGE.sub("", line[head.end() :])
                found.append(f"{head['level']}: {text}")
        return found


def _login(number: int, question: Login) -> Generator[str, str, None]:
    """Lines of a client; gets the answers."""
    user, password = question.user.encode(), question.password.encode()
    line = f"AUTH\t{number}\t{question.mech}\tservice={question.service}\tno-penalty"
    line += f"\t{question.more}" if question.more else ""
    if question.mech == "PLAIN":
        yield line + "\tresp=" + _b64(question.authzid.encode() + b"\0" + user + b"\0" + password)
        return
    if question.mech == "LOGIN":
        messages = iter([user, password])
        client = None
    else:
        kind = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[question.mech]
        client = ScramClient(kind, user, password)
        line += "\tresp=" + _b64(client.first())
        messages = iter([b"", b""])
    answer = yield line
    for turn, message in enumerate(messages):
        if not answer.startswith("CONT"):
            return
        if client is not None and turn == 0:
            message = client.final(base64.b64decode(answer.split("\t")[2]))
        answer = yield f"CONT\t{number}\t{_b64(message)}"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write(place: ServerDir, files: Mapping[str, str]) -> None:
    """Files that the auth process can read."""
    for name, text in files.items():
        path = place.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)


class Duel:
    """Dovecot, running, and ours, made when it is asked."""

    def __init__(self) -> None:
        self.place = ServerDir.make()
        self._dovecot: DovecotInstance | None = None
        self._spid = ""

    def __enter__(self) -> "Duel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._dovecot is not None:
            self._dovecot.stop()
        self.place.close()

    def ask(
        self,
        conf: str,
        questions: Sequence[Question],
        files: Mapping[str, str] | None = None,
        *,
        debug: bool = False,
    ) -> tuple[Said, Said]:
        """Dovecot's answers and ours."""
        conf = COMMON + conf.replace("{dir}", str(self.place.root))
        write(self.place, files or {})
        begin = len(self.place.log_text())
        self._load(conf)
        lab = authlab.SocketAuth("dovecot", self.place.run, lambda: self.place.log_text()[begin:])
        theirs = _asked(lab, self.place, questions, debug)
        write(self.place, files or {})
        ours = authlab.MemoryAuth("first_valid_uid = 1\n" + conf)
        return theirs, _asked(ours, self.place, questions, debug)

    def _load(self, conf: str) -> None:
        """Dovecot has this configuration when another auth process answers."""
        if self._dovecot is None:
            self._dovecot = DovecotInstance(conf, static_users=False, place=self.place).start()
        else:
            self._dovecot.conf.write_text(render(self.place, conf, static_users=False))
            self._dovecot.reload()
        deadline = time.monotonic() + LOG_SECS
        while (spid := self._greeting()) in ("", self._spid):
            assert time.monotonic() < deadline, self.place.log_text()[-2000:]
            time.sleep(0.02)
        self._spid = spid

    def _greeting(self) -> str:
        lab = authlab.SocketAuth("dovecot", self.place.run, self.place.log_text)
        connection = lab.connect("auth-master")
        try:
            lines = [lab.line(connection, LOG_SECS) or b"" for _ in range(2)]
        finally:
            connection.close()
        return lines[1].decode()


def _asked(lab: authlab.Harness, place: ServerDir, questions: Sequence[Question], debug: bool) -> Said:
    talk = _Talk(lab, place, debug=debug)
    try:
        return talk.ask(questions)
    finally:
        talk.close()
