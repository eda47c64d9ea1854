"""Every password scheme keeps the same promises."""

import hmac
import os

import pytest

from pydovecot.password import cram, libcrypt, schemes
from pydovecot.password.scheme import BadHash, Encoding

ALL = sorted(schemes.SCHEMES)
PASSWORD = "pässword".encode()
KEEPS_LENGTH_PREFIX = {"PLAIN-TRUNC"}  # what it generates has no prefix yet: as in Dovecot


def made(name: str, password: bytes = PASSWORD, rounds: int = 0) -> schemes.Stored:
    text = schemes.generate(name, password, user="alice@example.org", random=os.urandom, rounds=rounds)
    if name in KEEPS_LENGTH_PREFIX:
        text = f"{{{name}}}{len(password)}-" + password.decode()
    return schemes.parse(text.encode(), "CRYPT")


@pytest.mark.parametrize("name", ALL)
def test_what_it_makes_it_verifies(name: str) -> None:
    stored = made(name)
    assert stored.scheme == name
    assert schemes.verify(stored, PASSWORD, "alice@example.org")
    assert not schemes.verify(stored, b"other", "alice@example.org")
    assert not schemes.verify(stored, b"", "alice@example.org")
    assert "ssword" not in repr(stored)


@pytest.mark.parametrize("name", ALL)
def test_broken_passwords_are_refused_not_raised(name: str) -> None:
    for text in (
        b"",
        b"!",
        b"*",
        b"$",
        b"$1$",
        b"$2y$99$x",
        b"$6$rounds=x$",
        b"\xff\xfe",
        b",,,",
        b"A" * 3000,
    ):
        stored = schemes.Stored(name, "", text)
        try:
            assert schemes.verify(stored, b"x", "u") is False
        except BadHash as exc:
            assert "BadHash" not in str(exc)


@pytest.mark.parametrize("name", [n for n in ALL if schemes.SCHEMES[n].encoding is not Encoding.NONE])
@pytest.mark.parametrize("encoding", ["HEX", "B64", "BASE64"])
def test_binary_schemes_take_both_encodings(name: str, encoding: str) -> None:
    text = schemes.generate(f"{name}.{encoding}", b"x", user="u", random=os.urandom)
    assert text.startswith(f"{{{name}.{encoding}}}")
    assert schemes.verify(schemes.parse(text.encode(), "PLAIN"), b"x", "u")


def test_hexadecimal_is_known_by_its_length() -> None:
    hexed = b"{SHA}" + b"11f6ad8ec52a2984abaafd7c3b516503785c2072"  # sha1("x")
    assert schemes.verify(schemes.parse(hexed, "CRYPT"), b"x", "u")


def test_the_prefix_decides_and_the_default_serves_without_one() -> None:
    assert schemes.parse(b"{plain}x", "CRYPT") == schemes.Stored("PLAIN", "", b"x")
    assert schemes.parse(b"x", "SHA.HEX") == schemes.Stored("SHA", "HEX", b"x")
    assert schemes.parse(b"{unfinished", "PLAIN") == schemes.Stored("PLAIN", "", b"{unfinished")
    assert schemes.parse(b"$1$a$b$ignored", "PLAIN") == schemes.Stored("MD5-CRYPT", "", b"$1$a$b")
    assert schemes.parse(b"{CRYPT}$1$a$b", "PLAIN").scheme == "MD5-CRYPT"


def test_unknown_schemes_say_so() -> None:
    with pytest.raises(BadHash, match="Unknown scheme: FOO"):
        schemes.verify(schemes.parse(b"{FOO}x", "CRYPT"), b"x", "u")
    with pytest.raises(BadHash, match="Unknown scheme"):
        schemes.generate("SHA.FOO", b"x", user="u", random=os.urandom)


def test_mechanisms_get_only_what_serves_them() -> None:
    assert schemes.raw_for(schemes.parse(b"{PLAIN}x", "CRYPT"), "CRAM-MD5") == ("PLAIN", b"x")
    assert schemes.raw_for(schemes.parse(b"{PLAIN.HEX}78", "CRYPT"), "PLAIN") == ("PLAIN", b"x")
    assert schemes.raw_for(made("CRAM-MD5"), "CRAM-MD5") == ("CRAM-MD5", cram.context_of(PASSWORD))
    assert schemes.raw_for(made("HMAC-MD5"), "CRAM-MD5") == ("CRAM-MD5", cram.context_of(PASSWORD))
    assert schemes.raw_for(made("SHA"), "CRAM-MD5") is None


@pytest.mark.parametrize("key", [b"", b"k", b"k" * 64, b"k" * 65, os.urandom(200)])
@pytest.mark.parametrize("message", [b"", b"<1.2@host>", b"m" * 55, b"m" * 64, b"m" * 300])
def test_stored_hmac_context_equals_hmac(key: bytes, message: bytes) -> None:
    assert cram.hmac_of(cram.context_of(key), message) == hmac.digest(key, message, "md5")


# Published vectors of crypt(3): (setting, password, hash)
VECTORS = [
    (b"rl0uE0e2WKB0.", b"password"),
    (b"$1$abcdefgh$G//4keteveJp0qb8z2DxG/", b"password"),
    (b"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", b"Hello world!"),
    (
        b"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        b"Hello world!",
    ),
    (b"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", b"U*U"),
]


@pytest.mark.parametrize(("hashed", "password"), VECTORS)
@pytest.mark.parametrize("without_libcrypt", [False, True])
def test_crypt_vectors(
    hashed: bytes, password: bytes, without_libcrypt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without_libcrypt:
        monkeypatch.setattr(libcrypt, "_crypt_r", None)
    assert libcrypt.crypt(password, hashed) == hashed
    assert libcrypt.crypt(b"x" + password, hashed) != hashed


def test_crypt_never_takes_a_nul() -> None:
    assert libcrypt.crypt(b"pass\0word", b"rl0uE0wu10rOI") is None


def test_rounds() -> None:
    assert made("SHA512-CRYPT", rounds=2000).text.startswith(b"$6$rounds=2000$")
    assert made("BLF-CRYPT", rounds=4).text.startswith(b"$2y$04$")
    assert made("PBKDF2", rounds=10).text.split(b"$")[3] == b"10"
    assert made("SCRAM-SHA-256", rounds=4097).text.startswith(b"4097,")


def test_a_stored_argon2_cannot_take_all_memory() -> None:
    with pytest.raises(BadHash, match="memory"):
        schemes.verify(
            schemes.parse(b"{ARGON2ID}$argon2id$v=19$m=99999999,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWE", "X"),
            b"x",
            "u",
        )


def test_costly_schemes_are_known() -> None:
    assert schemes.is_costly(made("BLF-CRYPT", rounds=4))
    assert schemes.is_costly(schemes.parse(b"{CRYPT}$6$x$y", "X"))
    assert not schemes.is_costly(schemes.parse(b"{CRYPT}rl0uE0wu10rOI", "X"))
    assert not schemes.is_costly(made("SSHA512"))
