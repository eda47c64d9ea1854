"""Stored passwords go both ways between doveadm and ours."""

import os
import shutil
import subprocess

import pytest

from pydovecot.password import schemes

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(shutil.which("doveadm") is None, reason="Dovecot is not installed (doveadm)"),
]
PASSWORD = "pässword"
USER = "alice@example.org"


def doveadm_pw(*args: str) -> str:
    found = subprocess.run(["doveadm", "pw", *args], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def dovecot_schemes() -> set[str]:
    return set(doveadm_pw("-l").split()) if shutil.which("doveadm") else set()


NAMES = sorted(schemes.SCHEMES)
ENCODED = ["SSHA.HEX", "SHA256.B64", "PLAIN.B64", "PLAIN.HEX", "CRAM-MD5.B64", "SHA.BASE64", "SHA512.HEX"]


def test_we_know_dovecots_schemes() -> None:
    # OTP needs its own mechanism; it comes with it.
    assert dovecot_schemes() - set(NAMES) == {"OTP"}


@pytest.mark.parametrize("name", [*NAMES, *ENCODED])
def test_ours_verifies_dovecots(name: str) -> None:
    if name == "PLAIN-TRUNC":
        stored = "{PLAIN-TRUNC}3-pä".encode()
    else:
        stored = doveadm_pw("-s", name, "-p", PASSWORD, "-u", USER).encode()
    parsed = schemes.parse(stored, "CRYPT")
    assert schemes.verify(parsed, PASSWORD.encode(), USER)
    assert not schemes.verify(parsed, b"other", USER)


@pytest.mark.parametrize("name", [*NAMES, *ENCODED])
def test_dovecot_verifies_ours(name: str) -> None:
    stored = schemes.generate(name, PASSWORD.encode(), user=USER, random=os.urandom)
    if name == "PLAIN-TRUNC":
        stored = "{PLAIN-TRUNC}3-pä"
    assert doveadm_pw("-t", stored, "-p", PASSWORD, "-u", USER).endswith("(verified)")


@pytest.mark.parametrize(
    "stored",
    [
        *("{SHA}x", "{SHA}xxxx", "{PBKDF2}zzz", "{SCRAM-SHA-1}zzz", "{SSHA}YWJj"),
        *("{MD5}y", "{BLF-CRYPT}!", "{PLAIN-MD5}!", "{PLAIN-TRUNC}abc"),
    ],
)
def test_the_same_words_for_broken_passwords(stored: str) -> None:
    theirs = subprocess.run(
        ["doveadm", "pw", "-t", stored, "-p", "x"], capture_output=True, text=True, check=False
    ).stderr
    with pytest.raises(schemes.BadHash) as caught:
        schemes.verify(schemes.parse(stored.encode(), "CRYPT"), b"x", "")
    assert theirs.strip().endswith("check failed: " + str(caught.value))
