"""The client's side of the mechanisms that prove a password without sending it."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass


def _h(digest: str, data: bytes) -> bytes:
    return hashlib.new(digest, data, usedforsecurity=True).digest()


@dataclass
class ScramClient:
    """RFC 5802. `first()`, then `final(server-first)`, then `check(server-final)`."""

    digest: str
    user: bytes
    password: bytes
    nonce: bytes = b"fyko+d2lbbFgONRv9qkxdawL"
    gs2: bytes = b"n,,"
    extension: bytes = b""
    signed: bytes = b""
    salted: bytes = b""

    def first(self) -> bytes:
        self.bare = b"n=%b,r=%b" % (self.user, self.nonce) + self.extension
        return self.gs2 + self.bare

    def final(self, server_first: bytes) -> bytes:
        found = re.fullmatch(rb"r=(.*),s=([A-Za-z0-9+/=]+),i=(\d+)", server_first)
        assert found and found[1].startswith(self.nonce) and len(found[1]) >= len(self.nonce) + 18
        assert int(found[3]) >= 4096
        self.salted = hashlib.pbkdf2_hmac(
            self.digest, self.password, base64.b64decode(found[2]), int(found[3])
        )
        key = hmac.digest(self.salted, b"Client Key", self.digest)
        without_proof = b"c=" + base64.b64encode(self.gs2) + b",r=" + found[1]
        self.signed = b",".join((self.bare, server_first, without_proof))
        signature = hmac.digest(_h(self.digest, key), self.signed, self.digest)
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return without_proof + b",p=" + base64.b64encode(proof)

    def check(self, server_final: bytes) -> bool:
        """Whether the server knows the password too."""
        key = hmac.digest(self.salted, b"Server Key", self.digest)
        return server_final == b"v=" + base64.b64encode(hmac.digest(key, self.signed, self.digest))


@dataclass
class DigestClient:
    """RFC 2831. `response(challenge)`, then `check(rspauth)`."""

    user: bytes
    password: bytes
    realm: bytes = b""
    authzid: bytes = b""
    uri: bytes = b"imap/localhost"
    cnonce: bytes = b"OA6MHXh6VqTrRk"

    def response(self, challenge: bytes) -> bytes:
        fields = dict(re.findall(rb'([a-z]+)="?([^",]*)"?', challenge))
        assert fields[b"qop"] == b"auth" and fields[b"algorithm"] == b"md5-sess"
        self.nonce = fields[b"nonce"]
        text = (
            b'username="%b",realm="%b",nonce="%b",cnonce="%b",nc=00000001,qop=auth,digest-uri="%b",response=%b'
            b",charset=utf-8"
        ) % (self.user, self.realm, self.nonce, self.cnonce, self.uri, self._answer(b"AUTHENTICATE"))
        return text + (b',authzid="%b"' % self.authzid if self.authzid else b"")

    def _answer(self, method: bytes) -> bytes:
        secret = _h("md5", b":".join((self.user, self.realm, self.password)))
        a1 = b":".join((secret, self.nonce, self.cnonce))
        a1 += b":" + self.authzid if self.authzid else b""
        parts = (_h("md5", a1).hex().encode(), self.nonce, b"00000001", self.cnonce, b"auth")
        a2 = _h("md5", method + b":" + self.uri).hex().encode()
        return _h("md5", b":".join((*parts, a2))).hex().encode()

    def check(self, rspauth: bytes) -> bool:
        """Whether the server knows the password too."""
        return rspauth == b"rspauth=" + self._answer(b"")
