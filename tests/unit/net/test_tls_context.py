"""TLS contexts made of settings: what is refused, what is negotiated, client certificates."""

import datetime
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from pydovecot.net.tls import Need, TlsClosed, TlsConfig, TlsProblem, TlsStream, make_context
from tests.support.cert import make_certificate, shared_certificate

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def pem_of(key: Key, password: bytes | None = None) -> str:
    algorithm: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    )
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, algorithm).decode()


def certificate(name: str, key: Key, issuer: tuple[str, Key] | None = None) -> str:
    """PEM of a certificate for `name`, signed by itself or by `issuer`."""
    now = datetime.datetime.now(datetime.UTC)
    signer, signing = issuer or (name, key)
    attributes = [
        x509.NameAttribute(NameOID.COMMON_NAME, name),
        x509.NameAttribute(NameOID.EMAIL_ADDRESS, f"{name}@example.com"),
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes if issuer else attributes[:1]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, signer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(signing, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def config(**changes: object) -> TlsConfig:
    files = shared_certificate()
    values: dict[str, object] = {"cert": files.cert.read_text(), "key": files.key.read_text(), **changes}
    return TlsConfig(**values)  # type: ignore[arg-type]


def client(
    *, newest: ssl.TLSVersion | None = None, ciphers: str = "", chain: tuple[Path, Path] | None = None
) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if newest is not None:
        context.maximum_version = newest
    if ciphers:
        context.set_ciphers(ciphers)
    if chain is not None:
        context.load_cert_chain(*chain)
    return context


def talk(
    made: TlsConfig, by: ssl.SSLContext, look: Callable[[TlsStream], None] = lambda _stream: None
) -> tuple[str | None, str]:
    """Handshake over a socket pair: protocol and cipher as the client sees them."""
    context, _warnings = make_context(made)
    ours, theirs = socket.socketpair()
    seen: list[tuple[str | None, str]] = []
    failures: list[Exception] = []

    def connect() -> None:
        try:
            with by.wrap_socket(theirs) as sock:
                cipher = sock.cipher()
                seen.append((sock.version(), cipher[0] if cipher else ""))
                sock.sendall(b"hello")
                sock.recv(1)
        except (OSError, ssl.SSLError) as exc:
            failures.append(exc)
            theirs.close()

    thread = threading.Thread(target=connect)
    thread.start()
    stream = TlsStream(context, ours)
    try:
        while stream.handshake() is not None:
            pass
        data = stream.read(100)
        assert data == b"hello" or isinstance(data, Need)
        look(stream)
        stream.shutdown()
    except TlsClosed as exc:
        failures.append(exc)
    finally:
        stream.release()
        ours.close()
        thread.join(10)
    if failures and not seen:
        raise failures[0]
    return seen[0]


def test_modern_client_gets_tls13() -> None:
    assert talk(config(), client())[0] == "TLSv1.3"


def test_protocols_and_ciphers_follow_the_settings() -> None:
    old = client(newest=ssl.TLSVersion.TLSv1_2)
    assert talk(config(), old)[0] == "TLSv1.2"
    with pytest.raises((TlsClosed, ssl.SSLError, OSError)):
        talk(config(min_protocol="TLSv1.3"), old)
    chosen = "ECDHE-ECDSA-CHACHA20-POLY1305"
    assert talk(config(ciphers=chosen), old) == ("TLSv1.2", chosen)
    assert talk(config(suites="TLS_CHACHA20_POLY1305_SHA256"), client())[1] == "TLS_CHACHA20_POLY1305_SHA256"


def test_the_order_of_the_server_decides_when_asked() -> None:
    one, two = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"
    theirs = client(newest=ssl.TLSVersion.TLSv1_2, ciphers=f"{one}:{two}")
    assert talk(config(ciphers=f"{two}:{one}"), theirs)[1] == one
    assert talk(config(ciphers=f"{two}:{one}", prefer_server_ciphers=True), theirs)[1] == two


def test_alternative_certificate_is_for_clients_that_cannot_take_the_first() -> None:
    key = rsa.generate_private_key(65537, 2048)
    made = config(alt_cert=certificate("rsa.example.com", key), alt_key=pem_of(key))
    for ciphers, kind in (("ECDHE-RSA-AES256-GCM-SHA384", "RSA"), ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDSA")):
        assert kind in talk(made, client(newest=ssl.TLSVersion.TLSv1_2, ciphers=ciphers))[1]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"cert": ""}, "Can't load ssl_cert: There is no valid PEM certificate."),
        ({"cert": "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----"}, "Can't load ssl_cert: "),
        ({"key": ""}, "Can't load ssl_key: There is no valid PEM private key."),
        ({"key": "-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----"}, "Can't load ssl_key: "),
        ({"min_protocol": "TLSv9"}, "Unknown ssl_min_protocol setting 'TLSv9'"),
        ({"ciphers": "NONSENSE"}, "Can't set cipher list to 'NONSENSE'"),
        ({"suites": "NONSENSE"}, "Can't set cipher suites to 'NONSENSE'"),
        ({"alt_cert": "x"}, "Can't load ssl_alt_cert: "),
        ({"verify_client": True}, "ssl_verify_client_cert set, but ssl_ca has no certificate"),
        (
            {"verify_client": True, "ca": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"},
            "ssl_ca",
        ),
    ],
)
def test_problems_are_named(changes: dict[str, object], text: str) -> None:
    with pytest.raises(TlsProblem) as caught:
        make_context(config(**changes))
    assert text in str(caught.value)


def test_key_of_another_certificate(tmp_path: Path) -> None:
    other = make_certificate(tmp_path)
    with pytest.raises(TlsProblem, match="ssl_key"):
        make_context(config(key=other.key.read_text()))


def test_encrypted_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = config(cert=certificate("x", key), key=pem_of(key, b"secret"))
    with pytest.raises(TlsProblem, match="Can't load ssl_key: "):
        make_context(made)
    with pytest.raises(TlsProblem, match="Can't load ssl_key: "):
        make_context(config(cert=made.cert, key=made.key, key_password="wrong"))
    make_context(config(cert=made.cert, key=made.key, key_password="secret"))


def test_what_cannot_be_done_is_a_warning() -> None:
    assert make_context(config(curves="P-256"))[1] == []
    assert "ssl_curve_list" in make_context(config(curves="X25519:P-256"))[1][0]
    assert "ssl_dh" in make_context(config(dh="no parameters"))[1][0]


def test_secrets_are_not_shown() -> None:
    made = config(key_password="secret")
    assert "BEGIN" not in repr(made)
    assert "secret" not in repr(made)


def test_client_certificates(tmp_path: Path) -> None:
    authority, stranger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate("ca", authority)
    made = config(verify_client=True, require_crl=False, ca=ca)
    found: list[tuple[str, str]] = []

    def chain(name: str, issuer: Key) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        cert_file, key_file = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        cert_file.write_text(certificate(name, key, ("ca", issuer)))
        key_file.write_text(pem_of(key))
        return cert_file, key_file

    good, bad = chain("alice", authority), chain("mallory", stranger)
    for pair in (good, bad, None):
        talk(made, client(chain=pair), lambda stream: found.append(stream.certificate("commonName")))
    assert found == [("valid", "alice"), ("invalid", ""), ("none", "")]
    found.clear()
    talk(made, client(chain=good), lambda stream: found.append(stream.certificate("emailAddress")))
    assert found == [("valid", "alice@example.com")]


def test_client_certificate_without_a_revocation_list_when_one_is_required(tmp_path: Path) -> None:
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    cert_file, key_file = tmp_path / "c.pem", tmp_path / "c.key"
    cert_file.write_text(certificate("alice", key, ("ca", authority)))
    key_file.write_text(pem_of(key))
    found: list[tuple[str, str]] = []
    made = config(verify_client=True, ca=certificate("ca", authority))
    talk(made, client(chain=(cert_file, key_file)), lambda s: found.append(s.certificate("commonName")))
    assert found == [("invalid", "")]
    now = datetime.datetime.now(datetime.UTC)
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
        .last_update(now - datetime.timedelta(days=1))
        .next_update(now + datetime.timedelta(days=1))
        .sign(authority, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    found.clear()
    made = config(verify_client=True, ca=certificate("ca", authority) + crl)
    talk(made, client(chain=(cert_file, key_file)), lambda s: found.append(s.certificate("commonName")))
    assert found == [("valid", "alice")]
