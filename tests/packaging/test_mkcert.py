"""mkcert.sh and dovecot-openssl.cnf, as RHEL 7's chapter uses them; the other small files of the package."""

import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

FILES = Path(__file__).parents[2] / "packaging/files"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def ssldir(tmp_path: Path) -> Path:
    for name in ("certs", "private"):
        (tmp_path / name).mkdir()
    shutil.copy(FILES / "dovecot-openssl.cnf", tmp_path)
    return tmp_path


def mkcert(ssldir: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    env = {
        "PATH": "/usr/bin:/bin",
        "SSLDIR": str(ssldir),
        "OPENSSLCONFIG": str(ssldir / "dovecot-openssl.cnf"),
        **more,
    }
    script = str(FILES / "mkcert.sh")
    return subprocess.run(["sh", script], env=env, capture_output=True, text=True, timeout=120, check=False)


@needs_openssl
def test_certificate(ssldir: Path) -> None:
    done = mkcert(ssldir)
    assert done.returncode == 0, done.stderr
    cert, key = ssldir / "certs/dovecot.pem", ssldir / "private/dovecot.pem"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (cert, key)] == [0o600, 0o600]
    made = x509.load_pem_x509_certificate(cert.read_bytes())
    assert made.subject == made.issuer
    name = {attribute.oid: attribute.value for attribute in made.subject}
    assert name[NameOID.COMMON_NAME] == "imap.example.com"
    assert name[NameOID.ORGANIZATIONAL_UNIT_NAME] == "IMAP server"
    assert name[NameOID.EMAIL_ADDRESS] == "postmaster@example.com"
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days == 365
    public = made.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert public.key_size == 3072
    assert "ENCRYPTED" not in key.read_text()
    assert "imap.example.com" in done.stdout
    assert "Fingerprint=" in done.stdout


@needs_openssl
def test_own_names(ssldir: Path) -> None:
    config = ssldir / "dovecot-openssl.cnf"
    text = config.read_text().replace("default_bits = 3072", "default_bits = 2048")
    config.write_text(re.sub(r"CN = .*", "CN = *.example.org", text))
    assert mkcert(ssldir).returncode == 0
    made = x509.load_pem_x509_certificate((ssldir / "certs/dovecot.pem").read_bytes())
    assert made.subject.rfc4514_string().count("CN=*.example.org") == 1


@pytest.mark.parametrize("name", ["certs", "private"])
def test_nothing_is_overwritten(ssldir: Path, name: str) -> None:
    there = ssldir / name / "dovecot.pem"
    there.write_text("precious")
    done = mkcert(ssldir)
    assert (done.returncode, done.stdout) == (1, f"{there} already exists, won't overwrite\n")
    assert there.read_text() == "precious"
    assert len(list(ssldir.rglob("dovecot.pem"))) == 1


@pytest.mark.parametrize("name", ["certs", "private"])
def test_directories_must_be_there(ssldir: Path, name: str) -> None:
    (ssldir / name).rmdir()
    done = mkcert(ssldir)
    assert (done.returncode, done.stdout) == (1, f"{ssldir / name} directory doesn't exist\n")


def test_openssl_fails(ssldir: Path) -> None:
    """Nothing half is left, which would keep the next run from making a pair."""
    program = ssldir / "broken"
    program.write_text(f"#!/bin/sh\necho half >{ssldir}/private/dovecot.pem\nexit 1\n")
    program.chmod(0o755)
    assert mkcert(ssldir, OPENSSL=str(program)).returncode == 2
    assert not list(ssldir.rglob("dovecot.pem"))


def test_tmpfiles_and_the_master_agree() -> None:
    """Else each start would correct what systemd-tmpfiles has made."""
    source = (FILES.parents[1] / "pydovecot/services/master/rundir.py").read_text()
    made = dict(re.findall(r'_folder\(f"\{base_dir\}/([\w-]+)", 0o(\d+)', source))
    assert made
    lines = (FILES / "tmpfiles.conf").read_text().splitlines()
    listed = {row[1]: row[2:5] for row in (line.split() for line in lines) if row and row[0] == "d"}
    assert listed["/run/dovecot"] == ["0755", "root", "dovecot"]
    for name, mode in made.items():
        group = "root" if name == "empty" else "dovenull"
        assert listed[f"/run/dovecot/{name}"] == [f"0{mode}", "root", group]


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="needs logrotate")
def test_logrotate_reads_its_file(tmp_path: Path) -> None:
    config = shutil.copy(FILES / "logrotate", tmp_path / "dovecot")
    Path(config).chmod(0o644)
    words = ["logrotate", "--debug", "--state", str(tmp_path / "state"), str(config)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "error:" not in done.stderr
