"""DIGEST-MD5 (RFC 2831): a digest of name, realm and password, bound to two nonces; the server proves itself.

Only `qop=auth`, and no subsequent authentication.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydovecot.sasl.mechanism import (
    Challenge,
    Conversation,
    Failure,
    SaslContext,
    SetUser,
    Success,
    WantCredentials,
)

NONCE_BYTES: Final = 16
HASH_BYTES: Final = 16
MAX_SHOWN: Final = 32
_UNKNOWN_QOP: Final = (b"auth-int", b"auth-conf")
# RFC 2831 7.1: `name = value`, the value a token or a quoted string; what lacks the `=` is passed over.
_PAIR: Final = re.compile(
    rb'[ \t]*(?P<name>[^=,]*)(?:=[ \t]*(?:"(?P<quoted>(?:\\.|[^"\\])*)\\?"?|(?P<token>[^,]*)))?,?', re.DOTALL
)
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


class _BadResponse(Exception):
    """What is wrong with the client's response, for the log."""


@dataclass(slots=True)
class _Response:
    """digest-response, RFC 2831 2.1.2."""

    realm: bytes = b""
    username: bytes = b""
    nonce: bytes = b""
    cnonce: bytes = b""
    nc: bytes = b""
    qop: bytes = b""
    uri: bytes = b""
    maxbuf: bytes = b""
    authzid: bytes = b""
    response: bytes = b""


def run(context: SaslContext, _initial: bytes | None) -> Conversation:
    """The conversation: our challenge, the client's response. An initial response means nothing here."""
    nonce = base64.b64encode(context.random(NONCE_BYTES))
    realms = context.realms or ("",)
    challenge = "".join(f'realm="{realm}",' for realm in realms).encode()
    challenge += b'nonce="%b",qop="auth",charset="utf-8",algorithm="md5-sess"' % nonce
    answer: bytes = yield Challenge(challenge)
    try:
        response = _parse(answer, nonce)
    except _BadResponse as exc:
        return Failure(str(exc))
    user = response.username
    if response.realm and b"@" not in user:
        user += b"@" + response.realm
    if not (yield SetUser(_text(user), _text(response.authzid))):
        return Failure()
    found: tuple[str, bytes] | None = yield WantCredentials("DIGEST-MD5")
    if found is None:
        return Failure()
    scheme, raw = found
    secret = _md5(b":".join((response.username, response.realm, raw))) if scheme == "PLAIN" else raw
    if len(secret) != HASH_BYTES:
        return Failure("invalid credentials length")
    if not hmac.compare_digest(_answer(secret, response, b"AUTHENTICATE"), response.response):
        return Failure("Password mismatch", mismatch=True)
    return Success(b"rspauth=" + _answer(secret, response, b""))


def _answer(secret: bytes, response: _Response, method: bytes) -> bytes:
    """RFC 2831 2.1.2.1 with the method's name, 2.1.3 (ours to the client) without."""
    a1 = b":".join((secret, response.nonce, response.cnonce))
    if response.authzid:
        a1 += b":" + response.authzid
    a2 = method + b":" + response.uri
    parts = (_hex(a1), response.nonce, response.nc, response.cnonce, response.qop, _hex(a2))
    return _hex(b":".join(parts))


def _parse(data: bytes, nonce: bytes) -> _Response:
    if not data:
        raise _BadResponse("Client sent no input")
    response = _Response()
    for found in _PAIR.finditer(data.partition(b"\0")[0]):
        quoted, token = found["quoted"], found["token"]
        if quoted is None and token is None:
            continue
        value = _ESCAPE.sub(rb"\1", quoted) if quoted is not None else token.rstrip(b" \t")
        take = _FIELDS.get(found["name"].rstrip(b" \t").lower())
        if take is not None:
            take(response, value)
    if not response.nonce:
        raise _BadResponse("Missing nonce parameter")
    if not hmac.compare_digest(response.nonce, nonce):
        raise _BadResponse("Invalid nonce")
    for missing, value in (("cnonce", response.cnonce), ("username", response.username)):
        if not value:
            raise _BadResponse(f"Missing {missing} parameter")
    response.nc = response.nc or b"00000001"
    response.qop = response.qop or b"auth"
    return response


def _realm(response: _Response, value: bytes) -> None:
    response.realm = response.realm or value


def _username(response: _Response, value: bytes) -> None:
    if response.username:
        raise _BadResponse("username must not exist more than once")
    if not value:
        raise _BadResponse("empty username")
    response.username = value


def _nonce(response: _Response, value: bytes) -> None:
    if response.nonce and response.nonce != value:
        raise _BadResponse("Invalid nonce")
    response.nonce = value or b"?"


def _cnonce(response: _Response, value: bytes) -> None:
    if response.cnonce:
        raise _BadResponse("cnonce must not exist more than once")
    if not value:
        raise _BadResponse("cnonce can't contain empty value")
    response.cnonce = value


def _nc(response: _Response, value: bytes) -> None:
    if response.nc:
        raise _BadResponse("nonce-count must not exist more than once")
    if not value.isdigit() or len(value) > 10:
        raise _BadResponse("nonce-count value invalid")
    if int(value) != 1:
        raise _BadResponse("re-auth not supported currently")
    response.nc = value


def _qop(response: _Response, value: bytes) -> None:
    word = value.lower()
    if word in _UNKNOWN_QOP:
        raise _BadResponse("Nonallowed QoP requested")
    if word != b"auth":
        shown = value[:MAX_SHOWN].decode("ascii", "replace")
        raise _BadResponse(f"Unknown QoP value: {''.join(c if c.isprintable() else '?' for c in shown)}")
    response.qop = value


def _uri(response: _Response, value: bytes) -> None:
    if b"/" not in value:
        raise _BadResponse("Invalid digest-uri")
    response.uri = value


def _maxbuf(response: _Response, value: bytes) -> None:
    if response.maxbuf:
        raise _BadResponse("maxbuf must not exist more than once")
    if not value.isdigit() or len(value) > 19 or not int(value):
        raise _BadResponse("Invalid maxbuf value")
    response.maxbuf = value


def _charset(_response: _Response, value: bytes) -> None:
    if value.lower() != b"utf-8":
        raise _BadResponse("Only utf-8 charset is allowed")


def _response(response: _Response, value: bytes) -> None:
    if len(value) != 2 * HASH_BYTES:
        raise _BadResponse("Invalid response value")
    response.response = value


def _authzid(response: _Response, value: bytes) -> None:
    if response.authzid:
        raise _BadResponse("authzid must not exist more than once")
    if not value:
        raise _BadResponse("empty authzid")
    response.authzid = value


_FIELDS: Final[dict[bytes, Callable[[_Response, bytes], None]]] = {
    b"realm": _realm,
    b"username": _username,
    b"nonce": _nonce,
    b"cnonce": _cnonce,
    b"nc": _nc,
    b"qop": _qop,
    b"digest-uri": _uri,
    b"maxbuf": _maxbuf,
    b"charset": _charset,
    b"response": _response,
    b"authzid": _authzid,
}


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _hex(data: bytes) -> bytes:
    return _md5(data).hex().encode()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
