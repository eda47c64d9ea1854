"""SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677): proof of the password, and the server proves itself.

    C: n,,n=alice,r=<client nonce>
    S: r=<client nonce><server nonce>,s=<salt>,i=<rounds>
    C: c=biws,r=<both nonces>,p=<proof>
    S: v=<signature>

Channel binding (-PLUS) is refused: a client that insists on it would be deceived otherwise.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Final

from pydovecot.password import scram
from pydovecot.password.scheme import BadHash
from pydovecot.sasl.mechanism import (
    Challenge,
    Conversation,
    Failure,
    Run,
    SaslContext,
    SetUser,
    Success,
    WantCredentials,
)

NONCE_BYTES: Final = 64
# RFC 5802 7: printable ASCII but the comma. 0x7e stands in for the comma, all others for themselves.
_PRINTABLE: Final = bytes(b + 0x21 if b + 0x21 != 0x2C else 0x7E for b in (n % 93 for n in range(256)))


class _BadMessage(Exception):
    """What is wrong with the client's message, for the log."""


@dataclass(frozen=True, slots=True)
class _First:
    """client-first-message, taken apart."""

    gs2_header: bytes
    bare: bytes
    user: bytes
    authzid: bytes
    nonce: bytes


@dataclass(frozen=True, slots=True)
class _Final:
    """client-final-message, taken apart."""

    without_proof: bytes
    proof: bytes


def mechanism(scheme: str, digest: str) -> Run:
    """The conversation for a digest of hashlib and the password scheme of the same name."""

    def run(context: SaslContext, initial: bytes | None) -> Conversation:
        message: bytes = (yield Challenge(b"")) if initial is None else initial
        try:
            first = _parse_first(message)
        except _BadMessage as exc:
            return Failure(str(exc))
        if not (yield SetUser(_text(first.user), _text(first.authzid))):
            return Failure()
        found: tuple[str, bytes] | None = yield WantCredentials(scheme)
        if found is None:
            return Failure()
        try:
            keys = _keys(context, scheme, digest, *found)
        except BadHash as exc:
            return Failure(str(exc))
        nonce = first.nonce + context.random(NONCE_BYTES).translate(_PRINTABLE)
        offer = b"r=%b,s=%b,i=%d" % (nonce, base64.b64encode(keys.salt), keys.rounds)
        answer: bytes = yield Challenge(offer)
        try:
            final = _parse_final(answer, first, nonce, len(keys.stored_key))
        except _BadMessage as exc:
            return Failure(str(exc))
        signed = b",".join((first.bare, offer, final.without_proof))
        if not _proves(keys, digest, signed, final.proof):
            return Failure("Password mismatch", mismatch=True)
        return Success(b"v=" + base64.b64encode(hmac.digest(keys.server_key, signed, digest)))

    return run


def _keys(context: SaslContext, scheme: str, digest: str, found: str, raw: bytes) -> scram.ScramKeys:
    if found == "PLAIN":
        return scram.derive(digest, raw, context.random(scram.SALT_BYTES), scram.ROUNDS)
    return scram.parse(scheme, raw)


def _proves(keys: scram.ScramKeys, digest: str, signed: bytes, proof: bytes) -> bool:
    """RFC 5802 3: ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage), and H(ClientKey) is StoredKey."""
    signature = hmac.digest(keys.stored_key, signed, digest)
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    return hmac.compare_digest(scram.stored_key_of(digest, client_key), keys.stored_key)


def _parse_first(message: bytes) -> _First:
    # A NUL ends the message, as it does in Dovecot.
    parts = message.partition(b"\0")[0].split(b",", 2)
    if len(parts) < 3:
        raise _BadMessage("Invalid initial client message")
    flag, authzid, bare = parts
    fields = bare.split(b",")
    if len(fields) < 2:
        raise _BadMessage("Invalid initial client message")
    if flag[:1] == b"p":
        raise _BadMessage("Channel binding not supported")
    if flag[:1] not in (b"n", b"y"):
        raise _BadMessage("Invalid GS2 header")
    login_user = b""
    if authzid:
        if not authzid.startswith(b"a="):
            raise _BadMessage("Invalid authzid field")
        login_user = _unescape(authzid[2:], "authzid escaping is invalid")
    if fields[0][:1] == b"m":  # RFC 5802 5.1: an extension that must be understood
        raise _BadMessage("Mandatory extension(s) not supported")
    if not fields[0].startswith(b"n="):
        raise _BadMessage("Invalid username field")
    user = _unescape(fields[0][2:], "Username escaping is invalid")
    if not fields[1].startswith(b"r="):
        raise _BadMessage("Invalid client nonce")
    return _First(flag + b"," + authzid + b",", bare, user, login_user, fields[1][2:])


def _parse_final(message: bytes, first: _First, nonce: bytes, proof_bytes: int) -> _Final:
    fields = message.partition(b"\0")[0].split(b",")
    if len(fields) < 3:
        raise _BadMessage("Invalid final client message")
    if fields[0] != b"c=" + base64.b64encode(first.gs2_header):
        raise _BadMessage("Invalid channel binding data")
    if not hmac.compare_digest(fields[1], b"r=" + nonce):
        raise _BadMessage("Wrong nonce")
    if not fields[-1].startswith(b"p="):
        raise _BadMessage("Invalid ClientProof")
    try:
        proof = base64.b64decode(fields[-1][2:], validate=True)
    except binascii.Error as exc:
        raise _BadMessage("Invalid base64 encoding") from exc
    if len(proof) != proof_bytes:
        raise _BadMessage("Invalid ClientProof length")
    return _Final(b",".join(fields[:-1]), proof)


def _unescape(name: bytes, error: str) -> bytes:
    """RFC 5802 5.1: `=2C` and `=3D`; any other `=` is wrong."""
    pieces = name.split(b"=")
    plain = [pieces[0]]
    for piece in pieces[1:]:
        char = {b"2C": b",", b"3D": b"="}.get(piece[:2])
        if char is None:
            raise _BadMessage(error)
        plain += [char, piece[2:]]
    return b"".join(plain)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
