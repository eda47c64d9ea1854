"""The clients of auth's sockets, against a real session behind a socket."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.ipc.auth_client import AuthClient
from pydovecot.ipc.auth_master import AuthLookupFailed, AuthMaster
from pydovecot.proto.auth.client import Reply, Status
from pydovecot.services.auth.client_session import ClientSession
from pydovecot.services.auth.master_session import MasterSession, Peer
from pydovecot.services.auth.transport import Connection
from tests.support.authlab import MemoryAuth

CONF = """\
auth_mechanisms = plain login
auth_failure_delay = 0
passdb {
  driver = static
  args = password=x reason=hi
}
userdb {
  driver = static
  args = uid=1000 gid=1000 home=/h/%u allow_all_users=yes
}
"""


class Server:
    """login, auth-client and auth-master sockets in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.auth = MemoryAuth(CONF)
        self.loop = asyncio.new_event_loop()
        self.connections: set[Connection] = set()
        self._listening = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self.loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._listening.wait(5)

    async def _run(self) -> None:
        import socket

        tasks = []
        for name in ("login", "auth-master"):
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(str(self.folder / name))
            sock.listen(5)
            sock.setblocking(False)
            tasks.append(self.loop.create_task(self._accept(sock, name)))
        self._listening.set()
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        self.drop_all()

    async def _accept(self, listener, name: str) -> None:  # type: ignore[no-untyped-def]
        with listener:
            while True:
                sock, _ = await self.loop.sock_accept(listener)
                sock.setblocking(False)

                def make(write, close, name=name):  # type: ignore[no-untyped-def]
                    if name == "login":
                        return ClientSession(self.auth.server, write, close, login=True)
                    return MasterSession(
                        self.auth.server, write, close, userdb_only=False, path="p", peer=Peer()
                    )

                self.connections.add(
                    Connection(sock, make, self.auth.event, self.connections.discard, self.loop)
                )

    def drop_all(self) -> None:
        for connection in list(self.connections):
            connection.close()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
        self.loop.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


FIELDS: dict[str, str | None] = {"service": "imap", "rip": "192.0.2.1", "secured": None}


async def ready(client: AuthClient) -> None:
    for _ in range(500):
        if client.ready:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the auth client does not become ready")


async def one(client: AuthClient, mech: str, initial: bytes | None, answers: list[bytes]) -> list[Reply]:
    replies: list[Reply] = []
    done = asyncio.get_running_loop().create_future()

    def on_reply(reply: Reply) -> None:
        replies.append(reply)
        if reply.status is Status.CONT:
            request.proceed(answers.pop(0))
        else:
            done.set_result(None)

    request = client.authenticate(mech, FIELDS, initial, on_reply)
    await asyncio.wait_for(done, 5)
    return replies


def test_login_client(server: Server, tmp_path: Path) -> None:
    async def main() -> None:
        states: list[bool] = []
        client = AuthClient(
            str(tmp_path / "login"), pid=4242, event=Event(ListSink()), on_state=states.append
        )
        client.start()
        await ready(client)
        assert list(client.mechanisms) == ["PLAIN", "LOGIN"] and client.mechanisms["PLAIN"].plaintext
        assert client.server_pid == 4711 and len(client.cookie) == 16 and client.connect_uid == 1
        [reply] = await one(client, "PLAIN", b"\0alice\0x", [])
        assert (reply.status, reply.user, reply.reason) == (Status.OK, "alice", "hi")
        [reply] = await one(client, "PLAIN", b"", [])
        assert (reply.status, reply.temporary) == (Status.FAIL, False)
        replies = await one(client, "LOGIN", None, [b"bob", b"x"])
        assert [reply.data for reply in replies[:2]] == [b"Username:", b"Password:"]
        assert replies[2].user == "bob"

        def hand_over() -> None:
            with AuthMaster(str(tmp_path / "auth-master")) as master:
                found = master.request(4242, replies[2].id, client.cookie, session_pid=0)
                assert found is not None
                assert (found.user, found.fields["home"], found.fields["uid"]) == ("bob", "/h/bob", "1000")
                with pytest.raises(AuthLookupFailed):
                    master.request(4242, replies[2].id, client.cookie)

        await asyncio.to_thread(hand_over)
        # The auth process is replaced: open requests fail, then a new connection serves.
        lost: list[Reply] = []
        open_request = client.authenticate("LOGIN", FIELDS, None, lost.append)
        while not lost:
            await asyncio.sleep(0.01)
        server.loop.call_soon_threadsafe(server.drop_all)
        while len(lost) < 2:
            await asyncio.sleep(0.01)
        assert lost[1].temporary and lost[1].id == open_request.id
        assert not client.ready and states == [True, False] and list(client.mechanisms) == ["PLAIN", "LOGIN"]
        [reply] = await one(client, "PLAIN", b"\0alice\0x", [])
        assert reply.temporary
        await ready(client)
        [reply] = await one(client, "PLAIN", b"\0alice\0x", [])
        assert reply.status is Status.OK
        cancelled = client.authenticate("LOGIN", FIELDS, None, lost.append)
        cancelled.cancel()
        cancelled.proceed(b"x")
        client.close()
        await asyncio.sleep(0.01)
        assert len(lost) == 2

    asyncio.run(main())


def test_login_client_without_a_server(tmp_path: Path) -> None:
    async def main() -> None:
        sink = ListSink()
        client = AuthClient(str(tmp_path / "none"), pid=1, event=Event(sink))
        client.start()
        [reply] = await one(client, "PLAIN", b"", [])
        assert reply.temporary
        await asyncio.sleep(0.05)
        client.close()
        assert len(sink.lines) == 1 and "connect(" in sink.lines[0][1]
        with contextlib.suppress(asyncio.CancelledError):
            assert client._task is not None
            await client._task

    asyncio.run(main())


def test_master_client(server: Server, tmp_path: Path) -> None:
    with AuthMaster(str(tmp_path / "auth-master")) as master:
        found = master.user("Alice", service="lmtp", params={"lip": "192.0.2.1", "debug": None})
        assert found is not None and found.user == "alice" and found.fields["home"] == "/h/alice"
        assert master.user("", service="lmtp") is None
        known = master.passdb("bob", service="smtp")
        assert known is not None and (known.user, known.fields) == ("bob", {"reason": "hi"})
        with pytest.raises(AuthLookupFailed, match="Listing users failed"):  # no userdb here can
            list(master.users(service="doveadm"))
        assert master.cache_flush(["alice"]) == 0
        assert master.server_pid == 4711
        # A kept connection to an auth process that is gone is noticed and replaced.
        server.loop.call_soon_threadsafe(server.drop_all)
        while server.connections:
            pass
        assert master.user("bob", service="lmtp") is not None


def test_master_client_without_a_server(tmp_path: Path) -> None:
    with pytest.raises(AuthLookupFailed, match="connect"):
        AuthMaster(str(tmp_path / "none")).user("alice", service="x")
    assert os.path.isdir(tmp_path)


def test_a_peer_that_is_no_auth_process(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "auth-master"))
        listener.listen(1)

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(b"VERSION\t2\t0\nSPID\t1\n")
                client.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(AuthLookupFailed, match="wrong protocol version"):
            AuthMaster(str(tmp_path / "auth-master")).user("alice", service="x")
        thread.join(5)
