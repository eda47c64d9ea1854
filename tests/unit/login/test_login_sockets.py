"""A login process over real sockets: handover, TLS, and clients that misbehave."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from OpenSSL import SSL

from pydovecot.login.handover import HandoverRequest
from pydovecot.login.process import LoginProtocol
from pydovecot.services.imap_login.client import ImapLoginClient
from pydovecot.services.pop3_login.client import Pop3LoginClient
from pydovecot.settings.memory import MemoryView
from tests.support.cert import make_certificate, shared_certificate
from tests.support.login_process import COOKIE, MAIL_PID, LoginServer, open_fds, read_line

IMAP = LoginProtocol("imap", ImapLoginClient)
POP3 = LoginProtocol("pop3", Pop3LoginClient)


def settings(**more: str) -> MemoryView:
    """TLS with the run's certificate."""
    files = shared_certificate()
    texts = {"ssl_cert": files.cert.read_text(), "ssl_key": files.key.read_text()}
    return MemoryView({**texts, **more})


@pytest.fixture
def imap() -> Iterator[LoginServer]:
    with LoginServer(IMAP, settings()) as server:
        yield server


def trusting() -> ssl.SSLContext:
    """A client that asks for no certificate in particular."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def wait_for(condition: Callable[[], Any]) -> None:
    """Until it holds; fails after five seconds."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_plaintext_client_is_handed_over_with_its_input(imap: LoginServer) -> None:
    with imap.connect() as sock:
        assert read_line(sock).startswith(b"* OK [CAPABILITY ")
        sock.sendall(b"a LOGIN alice wonder\r\nb NOOP\r\n")
        assert read_line(sock) == b"a OK Logged in\r\n"
        assert read_line(sock) == b"echo: b NOOP\r\n"
        sock.sendall(b"c\n")
        assert read_line(sock) == b"echo: c\n"
        wait_for(lambda: imap.context.finished)  # our copy of the descriptor is closed
    request = imap.requests[0]
    assert request.cookie == COOKIE
    assert request.auth_pid == 77
    assert (request.local_ip, request.remote_ip) == ("127.0.0.1", "127.0.0.1")
    assert (request.secured, request.tls, request.send_capability) == (True, False, True)
    assert (
        f"Login: user=<alice>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, mpid={MAIL_PID}, secured, "
        in imap.log()
    )


def test_worker_without_an_answer_is_replaced_by_another(imap: LoginServer) -> None:
    imap.silent_workers = 2
    with imap.connect() as sock:
        read_line(sock)
        sock.sendall(b"a LOGIN alice wonder\r\n")
        assert read_line(sock) == b"a OK Logged in\r\n"
    assert len(imap.requests) == 3


def test_no_worker_at_all_is_an_internal_failure(imap: LoginServer) -> None:
    imap.silent_workers = 99
    with imap.connect() as sock:
        read_line(sock)
        sock.sendall(b"a LOGIN alice wonder\r\n")
        text = b"* BYE [UNAVAILABLE] Internal login failure. Refer to server log for more information.\r\n"
        assert read_line(sock) == text
        assert sock.recv(1) == b""
    wait_for(lambda: "Internal login failure (pid=" in imap.log())


def test_tls_client_is_carried(imap: LoginServer) -> None:
    with imap.connect(tls=True) as plain, trusting().wrap_socket(plain) as sock:
        assert read_line(sock).startswith(b"* OK [CAPABILITY ")
        sock.sendall(b"a LOGIN alice wonder\r\nb\n")
        assert read_line(sock) == b"a OK Logged in\r\n"
        assert read_line(sock) == b"echo: b\n"
        assert not imap.context.finished  # the login process stays for the connection's life
        assert imap.context.titles[-1] == "127.0.0.1 TLS"
        sock.sendall(b"bye\n")
        assert read_line(sock) == b"echo: bye\n"
        assert sock.recv(1) == b""  # the worker has ended
    wait_for(lambda: imap.context.finished)
    assert imap.requests[0].tls
    assert "TLS, session=<" in imap.log()


def test_starttls_drops_what_was_injected_before_it(imap: LoginServer) -> None:
    with imap.connect(source="127.0.0.2") as plain:
        assert b"LOGINDISABLED" in read_line(plain)
        plain.sendall(b"a STARTTLS\r\nb LOGIN mallory wonder\r\n")
        assert read_line(plain) == b"a OK Begin TLS negotiation now.\r\n"
        with trusting().wrap_socket(plain) as sock:
            sock.sendall(b"c CAPABILITY\r\n")
            line = read_line(sock)  # neither an answer to b, nor a login
            assert line.startswith(b"* CAPABILITY ")
            assert b"STARTTLS" not in line
            assert b"LOGINDISABLED" not in line
            assert read_line(sock).startswith(b"c OK ")
            sock.sendall(b"d LOGIN alice wonder\r\n")
            assert read_line(sock) == b"d OK Logged in\r\n"
    assert imap.requests[0].send_capability  # asking again after STARTTLS is the client's duty


def test_stls_drops_what_was_injected_before_it() -> None:
    with LoginServer(POP3, settings()) as server, server.connect() as plain:
        read_line(plain)
        plain.sendall(b"STLS\r\nUSER mallory\r\n")
        assert read_line(plain) == b"+OK Begin TLS negotiation now.\r\n"
        with trusting().wrap_socket(plain) as sock:
            sock.sendall(b"PASS wonder\r\n")
            assert read_line(sock) == b"-ERR No username given.\r\n"


def _serve_bulk(client: socket.socket, request: HandoverRequest) -> None:
    """Gives back what it got, once the client has said that it was all."""
    del request
    received = bytearray()
    while data := client.recv(65536):
        received += data
    client.sendall(received)


def test_tls_proxy_carries_much_and_the_end_of_data() -> None:
    payload = bytes(range(256)) * 20_000  # five megabytes: far more than all the buffers between
    with LoginServer(IMAP, settings(), serve=_serve_bulk) as server, server.connect(tls=True) as plain:
        plain.settimeout(None)
        sock = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), plain)
        sock.set_connect_state()
        read_line(sock)
        sock.sendall(b"a LOGIN alice wonder\r\n")
        wait_for(lambda: server.requests)
        sock.sendall(payload)
        sock.shutdown()  # our end of data; the other way stays open
        received = bytearray()
        with pytest.raises(SSL.ZeroReturnError):
            while True:
                received += sock.recv(65536)
        assert bytes(received) == payload


def _serve_many(client: socket.socket, request: HandoverRequest) -> None:
    """Sends ten megabytes whatever the client does."""
    del request
    client.sendall(b"x" * 10_000_000)


def test_slow_reader_is_waited_for_with_bounded_memory() -> None:
    with LoginServer(IMAP, settings(), serve=_serve_many) as server:
        with server.connect(tls=True) as plain, trusting().wrap_socket(plain) as sock:
            read_line(sock)
            sock.sendall(b"a LOGIN alice wonder\r\n")
            time.sleep(0.3)  # everything between is full now
            proxy = server.call(lambda: next(iter(server.process._clients))._proxy)
            assert len(proxy._down) <= 65536
            size = 0
            while size < 10_000_000:
                data = sock.recv(1 << 20)
                assert data
                size += len(data)
        wait_for(lambda: server.context.finished)


def test_worker_that_dies_closes_the_client() -> None:
    alive = threading.Event()

    def serve(client: socket.socket, request: HandoverRequest) -> None:
        client.sendall(b"hello\n")
        alive.wait(5)

    with (
        LoginServer(IMAP, settings(), serve=serve) as server,
        server.connect(tls=True) as plain,
        trusting().wrap_socket(plain) as sock,
    ):
        read_line(sock)
        sock.sendall(b"a LOGIN alice wonder\r\n")
        assert read_line(sock) == b"hello\n"
        alive.set()
        assert sock.recv(1) == b""


def test_broken_hello_is_logged_and_closed(imap: LoginServer) -> None:
    with imap.connect(tls=True) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(100):  # an alert, perhaps
                pass
    wait_for(lambda: "SSL_accept() failed: " in imap.log())
    assert "(no auth attempts in " in imap.log()
    assert "TLS handshaking: SSL_accept() failed: " in imap.log()


def test_tls_client_that_leaves_during_the_handshake(imap: LoginServer) -> None:
    with imap.connect(tls=True) as sock:
        sock.sendall(b"\x16\x03\x01")
    wait_for(lambda: imap.context.finished)
    assert "Disconnected: Connection closed" in imap.log()


@pytest.mark.parametrize("tls", [False, True])
def test_slow_client_is_sent_away(tls: bool) -> None:
    with LoginServer(IMAP, settings()) as server:
        server.process.login_timeout = 0.3
        with server.connect(tls=tls) as sock:
            began = time.monotonic()
            rest = b""
            sock.sendall(b"\x16\x03\x01\x02\x00" if tls else b"a")  # the head of a TLS record of 512 bytes
            while time.monotonic() - began < 60:
                try:
                    sock.sendall(b"\x01")  # one byte now and then
                    sock.settimeout(0.05)
                    data = sock.recv(100)
                    rest += data
                    if not data:
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            else:
                pytest.fail("a client that says a byte now and then stays for ever")
        if not tls:
            assert b"* BYE Disconnected for inactivity.\r\n" in rest
        wait_for(lambda: "Disconnected: Inactivity (no auth attempts in " in server.log())


def test_noise_ends_in_an_answer_or_a_closed_connection(imap: LoginServer) -> None:
    for noise in (
        b"\x00" * 3000,
        bytes(range(256)) * 20,
        b"\xff\xfe\r\n" * 50,
        b"{" * 5000,
        b"a LOGIN {" * 500,
    ):
        with imap.connect() as sock:
            read_line(sock)
            try:
                sock.sendall(noise + b"\r\n")
                sock.settimeout(1)
                while sock.recv(4096):
                    pass
            except (ConnectionError, TimeoutError):
                pass
    with imap.connect() as sock:
        read_line(sock)
        sock.sendall(b"a NOOP\r\n")
        assert read_line(sock) == b"a OK NOOP completed.\r\n"


def test_client_that_reads_nothing_is_dropped(imap: LoginServer) -> None:
    with imap.connect() as sock:
        try:
            for _ in range(20_000):
                sock.sendall(b"a CAPABILITY\r\n" * 100)
        except (ConnectionError, TimeoutError):
            pass
    wait_for(lambda: imap.context.finished)
    assert "Output buffer full" in imap.log()


def test_oldest_client_makes_room_but_none_that_is_logged_in(imap: LoginServer) -> None:
    with imap.connect(tls=True) as plain, trusting().wrap_socket(plain) as logged_in:
        read_line(logged_in)
        logged_in.sendall(b"a LOGIN alice wonder\r\n")
        read_line(logged_in)
        with imap.connect() as oldest, imap.connect() as youngest:
            read_line(oldest)
            read_line(youngest)
            imap.call(imap.process.make_room)
            assert read_line(oldest) == b"* BYE Connection queue full\r\n"
            youngest.sendall(b"a NOOP\r\n")
            assert read_line(youngest).startswith(b"a OK ")
        logged_in.sendall(b"still\n")
        assert read_line(logged_in) == b"echo: still\n"
    assert "Disconnected: Connection queue full (no auth attempts in " in imap.log()


def test_many_idle_tls_sessions_then_all_descriptors_come_back() -> None:
    before = open_fds()
    with LoginServer(IMAP, settings()) as server:
        context = trusting()
        socks = []
        for _ in range(40):
            sock = context.wrap_socket(server.connect(tls=True))
            read_line(sock)
            sock.sendall(b"a LOGIN alice wonder\r\n")
            read_line(sock)
            socks.append(sock)
        assert server.context.titles[-1] == "40 connections (40 TLS)"
        for sock in socks:
            sock.sendall(b"x\n")
            assert read_line(sock) == b"echo: x\n"
            sock.close()
        wait_for(lambda: len(server.context.finished) == 40)
    wait_for(lambda: open_fds() <= before + 2)


def test_stop_says_goodbye(imap: LoginServer) -> None:
    with imap.connect() as sock:
        read_line(sock)

        def stop() -> None:
            imap.context.stopping = True
            imap.process.stop()

        imap.call(stop)
        assert read_line(sock) == b"* BYE Server shutting down.\r\n"
        assert sock.recv(1) == b""


def test_server_name_chooses_the_certificate(imap: LoginServer, tmp_path: Path) -> None:
    files = make_certificate(tmp_path, "other.example.com")
    texts = {"ssl_cert": files.cert.read_text(), "ssl_key": files.key.read_text(), "login_greeting": "Other."}
    imap.context.views["other.example.com"] = MemoryView(texts)
    for name, greeting in (("other.example.com", b"Other."), ("localhost", b"Dovecot ready.")):
        with (
            imap.connect(tls=True) as plain,
            trusting().wrap_socket(plain, server_hostname=name) as sock,
        ):
            der = sock.getpeercert(binary_form=True)
            assert der is not None
            subject = x509.load_der_x509_certificate(der).subject
            assert subject.rfc4514_string() == f"CN={name}"
            assert greeting in read_line(sock)
            sock.sendall(b"a LOGIN alice wonder\r\n")
            read_line(sock)
    assert [request.local_name for request in imap.requests] == ["other.example.com", "localhost"]


def test_old_protocol_is_refused() -> None:
    with LoginServer(IMAP, settings(ssl_min_protocol="TLSv1.3")) as server:
        context = trusting()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with server.connect(tls=True) as plain, pytest.raises(ssl.SSLError):
            context.wrap_socket(plain)


def test_broken_key_is_said_once_and_starttls_not_offered_from_then_on() -> None:
    with LoginServer(IMAP, settings(ssl_key="no key")) as server:
        with server.connect(tls=True) as sock:
            assert sock.recv(10) == b""
        for _ in range(2):
            with server.connect() as sock:
                assert b"STARTTLS" not in read_line(sock)
        assert server.log().count("Can't load ssl_key: There is no valid PEM private key.") == 1
        wait_for(lambda: "Disconnected: TLS initialization failed. (" in server.log())
