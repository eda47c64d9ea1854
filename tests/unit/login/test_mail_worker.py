"""The worker's side of a handover: what it asks, becomes and answers, with a fake auth and context."""

import os
import socket
from collections.abc import Mapping
from typing import Any

import pytest

from pydovecot.base import fdpass
from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.ipc.auth_master import AuthLookupFailed, UserReply
from pydovecot.login.handover import HandoverRequest, decode_reply
from pydovecot.login.mail_session import MailSession, MailWorker
from pydovecot.model.errors import InternalError
from pydovecot.runtime.context import Accepted
from pydovecot.settings.memory import MemoryView

ME = {"uid": str(os.geteuid() or 1000), "gid": str(os.getegid() or 1000)}


class FakeContext:
    """What MailWorker needs of a Context."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.sink = ListSink()
        self.event = Event(self.sink)
        self.service = self.protocol = "imap"
        self.view = MemoryView({"first_valid_uid": "1", **settings})
        self.prefixes: list[str] = []
        self.titles: list[str] = []
        self.asked: dict[str, str] = {}
        self.last = False

    def settings_for(self, **asked: str) -> MemoryView:
        self.asked = asked
        return self.view

    def run_path(self, *parts: str) -> str:
        return "/nonexistent/" + "/".join(parts)

    def anvil_fd(self) -> int:
        return -1

    def last_client(self) -> None:
        self.last = True

    def set_log_prefix(self, prefix: str) -> None:
        self.prefixes.append(prefix)

    def set_title(self, text: str) -> None:
        self.titles.append(text)


class FakeAuth:
    """auth-master with one answer."""

    def __init__(self, answer: UserReply | Exception | None) -> None:
        self.answer = answer
        self.asked: tuple[object, ...] = ()

    def request(self, *asked: object) -> UserReply | None:
        self.asked = asked
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def refusal(request: HandoverRequest, stage: str, text: str) -> bytes:
    return b"%s %s %s\n" % (request.command_tag, stage.encode(), text.encode())


class Handover:
    """Plays a login process: sends a request with one end of a socket pair."""

    def __init__(self, worker: MailWorker, context: FakeContext, *, announced: int | None = None) -> None:
        near, peer = socket.socketpair()
        self.client, far = socket.socketpair()
        self.client.settimeout(60)
        with near, far:
            inode = os.fstat(far.fileno()).st_ino if announced is None else announced
            request = HandoverRequest(
                9, 2, 3, 4, b"c" * 16, inode, "127.0.0.1", "192.0.2.1", 143, 999, True, True, "sess",
                "mail.example.com", b"tag", False, b"next\r\n",
            )  # fmt: skip
            fdpass.send_fds(near, request.encode(), [far.fileno()])
            far.close()
            try:
                worker.on_connection(context, Accepted(peer, "login/imap"))  # type: ignore[arg-type]
            except BaseException:
                self.client.close()
                raise
            near.settimeout(60)
            self.answer = near.recv(100)
        self.said = b""
        while data := self.client.recv(100):
            self.said += data
        self.client.close()


def make_worker(answer: UserReply | Exception | None, run: Any = None) -> tuple[MailWorker, FakeAuth]:
    worker = MailWorker("imap", run or (lambda _session: None), refusal)
    auth = FakeAuth(answer)
    worker._auth = auth  # type: ignore[assignment]
    return worker, auth


@pytest.fixture(autouse=True)
def _stay_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Becoming another user is for the process tests; here the rest of the way is looked at."""
    monkeypatch.setattr("pydovecot.login.mail_user.become", lambda _user, _event: None)


def test_session_has_all_the_facts() -> None:
    seen: list[MailSession] = []

    def run(session: MailSession) -> None:
        seen.append(session)
        assert session.sock is not None
        session.sock.sendall(b"hello\n")
        session.set_title("alice IDLE")

    worker, auth = make_worker(UserReply("alice", {**ME, "home": "/home/alice", "mail": "x"}), run)
    context = FakeContext({})
    talk = Handover(worker, context)
    reply = decode_reply(talk.answer)
    assert (reply.tag, reply.ok, reply.mail_pid) == (9, True, os.getpid())
    assert auth.asked[:3] == (4, 3, b"c" * 16)
    assert talk.said == b"hello\n"
    session = seen[0]
    assert (session.username, session.home, session.session_id) == ("alice", "/home/alice", "sess")
    assert (session.input, session.tag, session.send_capability) == (b"next\r\n", b"tag", False)
    assert (session.remote_ip, session.remote_port, session.tls) == ("192.0.2.1", 999, True)
    assert session.expand("%s %u %r %l %{session}") == "imap alice 192.0.2.1 127.0.0.1 sess"
    assert context.asked == {
        "local_ip": "127.0.0.1",
        "remote_ip": "192.0.2.1",
        "local_name": "mail.example.com",
    }
    assert context.prefixes == [f"imap(alice)<{os.getpid()}><sess>: "]
    assert context.titles == ["alice IDLE"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (None, b"Internal error occurred."),
        (AuthLookupFailed("broken"), b"Internal error occurred."),
        (AuthLookupFailed("broken", "Come back later"), b"Come back later"),
    ],
)
def test_auth_that_refuses(answer: Exception | None, text: bytes) -> None:
    worker, _auth = make_worker(answer)
    context = FakeContext({})
    talk = Handover(worker, context)
    assert not decode_reply(talk.answer).ok
    assert talk.said.startswith(b"tag auth " + text)
    assert "Login auth request failed: " in context.sink.texts[0]
    assert not context.last


def test_worker_of_a_user_that_lost_auth_gives_no_answer_and_ends() -> None:
    worker, auth = make_worker(UserReply("alice", ME))
    context = FakeContext({})
    worker._became = object()  # type: ignore[assignment]
    auth.answer = AuthLookupFailed("write failed: Broken pipe")
    talk = Handover(worker, context)
    assert talk.answer == b""  # the login process tries another worker
    assert talk.said == b""
    assert context.last


def test_user_that_may_not_have_mail() -> None:
    worker, _auth = make_worker(UserReply("alice", {"uid": "5", "gid": "5"}))
    context = FakeContext({"first_valid_uid": "500"})
    talk = Handover(worker, context)
    assert decode_reply(talk.answer).ok
    assert talk.said.startswith(b"tag user Internal error occurred.")
    assert context.sink.texts[0].startswith("Mail access for users with UID 5 not permitted")


def test_storage_that_cannot_be_opened_refuses_the_login() -> None:
    def run(_session: MailSession) -> None:
        raise InternalError("no such driver")

    worker, _auth = make_worker(UserReply("alice", ME), run)
    context = FakeContext({})
    assert Handover(worker, context).said.startswith(b"tag user Internal error occurred.")
    assert context.sink.texts == ["no such driver"]


def test_failure_in_a_session_is_no_refusal() -> None:
    def run(session: MailSession) -> None:
        session.started = True
        raise InternalError("later")

    worker, _auth = make_worker(UserReply("alice", ME), run)
    with pytest.raises(InternalError, match="later"):
        Handover(worker, FakeContext({}))


def test_wrong_descriptor_is_not_served() -> None:
    worker, auth = make_worker(UserReply("alice", ME))
    context = FakeContext({})
    talk = Handover(worker, context, announced=1)
    assert talk.answer == b""
    assert auth.asked == ()
    assert len(context.sink.lines) == 1
