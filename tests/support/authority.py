"""A certificate authority for tests: client certificates that servers trust, and ones that it took back."""

import datetime
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.cert import CertFiles


def _name(common: str, email: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if email:
        parts.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, email))
    return x509.Name(parts)


@dataclass
class Authority:
    """Signs what it is asked to; files go to `folder`."""

    folder: Path
    name: str = "Test authority"
    revoked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._now = datetime.datetime.now(datetime.UTC)
        self._cert = self._sign(_name(self.name), self._key, ca=True)

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool, days: int = 30
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - datetime.timedelta(days=60))
            .not_valid_after(self._now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, common: str, email: str = "", *, days: int = 30, revoked: bool = False) -> CertFiles:
        """A client certificate and its key; `days` below 0 is one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._sign(_name(common, email), key, ca=False, days=days)
        if revoked:
            self.revoked.append(cert.serial_number)
        stem = f"{self.name}-{common or email}-{cert.serial_number}".replace(" ", "-").replace("/", "-")
        files = CertFiles(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        files.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def pem(self) -> bytes:
        """Its own certificate: ssl_ca."""
        return self._cert.public_bytes(serialization.Encoding.PEM)

    def revocations(self) -> bytes:
        """The list of certificates that it took back; belongs behind `pem` in ssl_ca."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_name(self.name))
            .last_update(self._now - datetime.timedelta(days=1))
            .next_update(self._now + datetime.timedelta(days=30))
        )
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self._now).build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
