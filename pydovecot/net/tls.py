"""TLS for servers: contexts made of PEM text, and a non-blocking connection over a socket.

OpenSSL reads and writes the socket itself (no memory BIO between): an idle session then holds no buffer,
and no byte is copied through Python that OpenSSL could take from the kernel. Nothing here opens a file, so
contexts can be made inside a chroot from settings that were read before it.
"""

import os
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from pydovecot.base.memory_file import memory_file

MODE_RELEASE_BUFFERS: Final = 0x10  # SSL_MODE_RELEASE_BUFFERS: idle sessions give their 34 kB back
MAX_RECORD_BYTES: Final = 16384  # RFC 8446 5.1: one SSL_read gives no more
MAX_VERIFY_DEPTH: Final = 20

VERSIONS: Final = {
    "SSLv3": SSL.SSL3_VERSION,
    "TLSv1": SSL.TLS1_VERSION,
    "TLSv1.0": SSL.TLS1_VERSION,
    "TLSv1.1": SSL.TLS1_1_VERSION,
    "TLSv1.2": SSL.TLS1_2_VERSION,
    "TLSv1.3": SSL.TLS1_3_VERSION,
    "ANY": SSL.TLS1_VERSION,  # POODLE (CVE-2014-3566): SSLv3 only by its name
    "LATEST": SSL.TLS1_3_VERSION,
}
_CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "PRIME256V1": ec.SECP256R1,
    "SECP256R1": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "SECP384R1": ec.SECP384R1,
    "P-521": ec.SECP521R1,
    "SECP521R1": ec.SECP521R1,
}
_NAME_FIELDS: Final = {
    "commonname": NameOID.COMMON_NAME,
    "cn": NameOID.COMMON_NAME,
    "emailaddress": NameOID.EMAIL_ADDRESS,
    "uid": NameOID.USER_ID,
    "userid": NameOID.USER_ID,
    "x500uniqueidentifier": NameOID.X500_UNIQUE_IDENTIFIER,
    "serialnumber": NameOID.SERIAL_NUMBER,
}
_HOST_NAME: Final = re.compile(rb"[A-Za-z0-9._-]{1,253}")
_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class TlsProblem(Exception):
    """TLS cannot be offered with these settings; the text is for the administrator."""


@dataclass(frozen=True)
class TlsConfig:
    """Everything that a context is made of; equal ones share a context. Never printed: it holds keys."""

    cert: str
    key: str
    key_password: str = ""
    alt_cert: str = ""
    alt_key: str = ""
    ca: str = ""
    dh: str = ""
    min_protocol: str = "TLSv1.2"
    ciphers: str = ""
    suites: str = ""
    curves: str = ""
    prefer_server_ciphers: bool = False
    tickets: bool = True
    verify_client: bool = False
    require_crl: bool = True
    verbose: bool = False

    def __repr__(self) -> str:
        return "TlsConfig(<hidden>)"


def make_context(
    config: TlsConfig, by_name: Callable[[SSL.Connection], None] | None = None
) -> tuple[SSL.Context, list[str]]:
    """A context, and what could not be done as configured. Raises TlsProblem with what is wrong.

    `by_name` is called in the handshake when the client has told the server's name (SNI); it may change the
    connection's context.
    """
    warnings: list[str] = []
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_mode(MODE_RELEASE_BUFFERS)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    _set_protocols(context, config)
    _load_pair(context, config.cert, config.key, config.key_password, "ssl_cert", "ssl_key")
    if config.alt_cert:
        _load_pair(
            context,
            config.alt_cert,
            config.alt_key or config.key,
            config.key_password,
            "ssl_alt_cert",
            "ssl_alt_key",
        )
    if not config.tickets:
        context.set_options(SSL.OP_NO_TICKET)
    # Sessions resume by tickets; a cache in each of many login processes would rarely be hit.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"pydovecot")
    _set_curves(context, config.curves, warnings)
    _set_dh(context, config.dh, warnings)
    if config.verify_client:
        _verify_clients(context, config)
    if by_name is not None:
        context.set_tlsext_servername_callback(by_name)
    return context, warnings


def _set_protocols(context: SSL.Context, config: TlsConfig) -> None:
    version = VERSIONS.get(config.min_protocol)
    if version is None:
        raise TlsProblem(f"Unknown ssl_min_protocol setting '{config.min_protocol}'")
    try:
        context.set_min_proto_version(version)
        if config.ciphers:
            context.set_cipher_list(config.ciphers.encode())
    except SSL.Error as exc:
        raise TlsProblem(f"Can't set cipher list to '{config.ciphers}': {reason(exc)}") from exc
    if config.suites:
        try:
            context.set_tls13_ciphersuites(config.suites.encode())
        except SSL.Error as exc:
            raise TlsProblem(f"Can't set cipher suites to '{config.suites}': {reason(exc)}") from exc
    if config.prefer_server_ciphers:
        context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)


def _load_pair(
    context: SSL.Context, cert: str, key: str, password: str, cert_name: str, key_name: str
) -> None:
    chain = [m[0] for m in _PEM.finditer(cert) if m[1].endswith("CERTIFICATE")]
    if not chain:
        raise TlsProblem(f"Can't load {cert_name}: There is no valid PEM certificate.")
    try:
        context.use_certificate(x509.load_pem_x509_certificate(chain[0].encode()))
        for pem in chain[1:]:
            context.add_extra_chain_cert(x509.load_pem_x509_certificate(pem.encode()))
    except (SSL.Error, ValueError) as exc:
        raise TlsProblem(f"Can't load {cert_name}: {reason(exc)}") from exc
    try:
        secret = password.encode() if password and "ENCRYPTED" in key else None
        context.use_privatekey(_private_key(key, secret))
    except (SSL.Error, ValueError, TypeError, UnsupportedAlgorithm) as exc:
        text = reason(exc) if "PRIVATE KEY" in key else "There is no valid PEM private key."
        raise TlsProblem(f"Can't load {key_name}: {text}") from exc
    try:
        context.check_privatekey()
    except SSL.Error as exc:
        raise TlsProblem(f"{key_name} does not belong to {cert_name}: {reason(exc)}") from exc


def _private_key(pem: str, password: bytes | None) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """The key of a PEM text; whether OpenSSL can sign with its kind shows when it is used."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = serialization.load_pem_private_key(  # type: ignore[assignment]
        pem.encode(), password
    )
    return key


def _set_curves(context: SSL.Context, curves: str, warnings: list[str]) -> None:
    names = [name for name in re.split(r"[:,\s]+", curves) if name and name.lower() != "auto"]
    if not names:
        return
    curve = _CURVES.get(names[0].upper())
    if len(names) > 1 or curve is None:
        warnings.append(
            f"ssl_curve_list = {curves}: only a single NIST curve can be chosen, OpenSSL's are used"
        )
        return
    context.set_tmp_ecdh(curve())


def seed() -> None:
    """Before a chroot: where getrandom(2) is missing (RHEL 7), OpenSSL opens /dev/urandom now and keeps it.

    Making a context does it, too.
    """
    SSL.Context(SSL.TLS_SERVER_METHOD)


def _set_dh(context: SSL.Context, parameters: str, warnings: list[str]) -> None:
    """OpenSSL takes DH parameters from a file only; this one has no name."""
    if not parameters:
        return
    try:
        fd = memory_file("ssl_dh")
        try:
            os.write(fd, parameters.encode())
            context.load_tmp_dh(f"/proc/self/fd/{fd}".encode())
        finally:
            os.close(fd)
    except (SSL.Error, OSError) as exc:
        warnings.append(f"ssl_dh could not be used: {reason(exc)}")


def _verify_clients(context: SSL.Context, config: TlsConfig) -> None:
    store = context.get_cert_store()
    authorities = 0
    revocations = False
    if store is None:
        raise TlsProblem("ssl_ca: no certificate store")
    try:
        for found in _PEM.finditer(config.ca):
            pem = found[0].encode()
            if found[1].endswith("CERTIFICATE"):
                store.add_cert(crypto.X509.from_cryptography(x509.load_pem_x509_certificate(pem)))
                authorities += 1
            elif found[1] == "X509 CRL":
                store.add_crl(x509.load_pem_x509_crl(pem))
                revocations = True
    except (SSL.Error, crypto.Error, ValueError) as exc:
        raise TlsProblem(f"Can't load ssl_ca: {reason(exc)}") from exc
    if not authorities:
        raise TlsProblem("ssl_verify_client_cert set, but ssl_ca has no certificate")
    if config.require_crl or revocations:
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
    context.set_verify_depth(MAX_VERIFY_DEPTH)
    context.set_verify(SSL.VERIFY_PEER, _note_verification)


def _note_verification(conn: SSL.Connection, _cert: object, error: int, _depth: int, ok: int) -> bool:
    """Never ends the handshake: whether a certificate is needed is decided at the login."""
    stream = conn.get_app_data()
    if not ok and isinstance(stream, TlsStream):
        stream.bad_certificate = True
    return True


def reason(exc: BaseException) -> str:
    """What OpenSSL or the system says, in one line."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    arguments = exc.args
    if isinstance(exc, SSL.SysCallError) and len(arguments) == 2:
        return os.strerror(arguments[0]) if arguments[0] > 0 else str(arguments[1])
    if arguments and isinstance(arguments[0], Sequence) and not isinstance(arguments[0], str):
        return ", ".join(f"error:{lib}:{func}:{text}" for lib, func, text in arguments[0])
    return str(exc) or type(exc).__name__


class Need(Enum):
    """What the socket must become before a call can go on."""

    READ = "read"
    WRITE = "write"


class TlsClosed(Exception):
    """The peer has ended the connection; `clean`: with a close_notify. The text says how."""

    def __init__(self, text: str = "", *, clean: bool = False) -> None:
        super().__init__(text)
        self.clean = clean


class TlsStream:
    """One server side TLS connection on a non-blocking socket. Every call returns at once."""

    __slots__ = ("_conn", "bad_certificate", "handshaked", "server_name")

    def __init__(self, context: SSL.Context, sock: socket.socket) -> None:
        self._conn = SSL.Connection(context, sock)
        self._conn.set_app_data(self)
        self._conn.set_accept_state()
        self.bad_certificate = False
        self.handshaked = False
        self.server_name = ""

    def handshake(self) -> Need | None:
        """Go on with the handshake; None when it is done. Raises TlsClosed with the reason."""
        try:
            self._conn.do_handshake()
        except SSL.WantReadError:
            return Need.READ
        except SSL.WantWriteError:
            return Need.WRITE
        except SSL.SysCallError as exc:
            raise TlsClosed(
                "" if exc.args[0] == -1 else f"SSL_accept() syscall failed: {reason(exc)}"
            ) from exc
        except SSL.Error as exc:
            raise TlsClosed(f"SSL_accept() failed: {reason(exc)}") from exc
        self.handshaked = True
        return None

    def read(self, size: int) -> bytes | Need:
        """Up to `size` bytes. Raises TlsClosed at the end."""
        try:
            return self._conn.recv(size)
        except SSL.WantReadError:
            return Need.READ
        except SSL.WantWriteError:
            return Need.WRITE
        except SSL.ZeroReturnError as exc:
            raise TlsClosed(clean=True) from exc
        except SSL.SysCallError as exc:
            raise TlsClosed("" if exc.args[0] == -1 else reason(exc)) from exc
        except SSL.Error as exc:
            raise TlsClosed(f"SSL_read() failed: {reason(exc)}") from exc

    def write(self, data: "bytes | bytearray | memoryview") -> int | Need:
        """Send the beginning of `data`: how much of it went out. After a Need come with the same bytes."""
        try:
            return self._conn.send(data)
        except SSL.WantWriteError:
            return Need.WRITE
        except SSL.WantReadError:
            return Need.READ
        except SSL.SysCallError as exc:
            raise TlsClosed("" if exc.args[0] == -1 else reason(exc)) from exc
        except SSL.Error as exc:
            raise TlsClosed(f"SSL_write() failed: {reason(exc)}") from exc

    def shutdown(self) -> None:
        """Tell the peer that nothing more comes (close_notify), if that is possible at once."""
        try:
            self._conn.shutdown()
        except SSL.Error:
            pass

    def release(self) -> None:
        """Forget the connection: OpenSSL's memory goes now, not when a garbage collector finds the cycle."""
        self._conn.set_app_data(None)

    @property
    def pending(self) -> bool:
        """Bytes are decrypted already: the socket will not become readable for them."""
        return bool(self._conn.pending())

    @property
    def protocol(self) -> str:
        return self._conn.get_protocol_version_name()

    @property
    def cipher(self) -> tuple[str, int]:
        """Name and strength in bits."""
        return self._conn.get_cipher_name() or "", self._conn.get_cipher_bits() or 0

    def certificate(self, field: str) -> tuple[str, str]:
        """The client's certificate: ("none" | "valid" | "invalid", the subject's `field`)."""
        found = self._conn.get_peer_certificate(as_cryptography=True)
        if found is None:
            return "none", ""
        if self.bad_certificate:
            return "invalid", ""
        oid = _NAME_FIELDS.get(field.lower(), NameOID.COMMON_NAME)
        values = found.subject.get_attributes_for_oid(oid)
        name = values[0].value if values else ""
        return "valid", name if isinstance(name, str) else name.decode("utf-8", "replace")


def stream_of(conn: SSL.Connection) -> "TlsStream | None":
    """The stream that a callback's connection belongs to."""
    stream = conn.get_app_data()
    return stream if isinstance(stream, TlsStream) else None


def requested_name(conn: SSL.Connection) -> str:
    """The server's name that the client asked for, "" if it is none or no name of a host."""
    name = conn.get_servername() or b""
    return name.decode("ascii").lower() if _HOST_NAME.fullmatch(name) else ""
