"""verbose_ssl: what OpenSSL does in a handshake, and the alerts of both sides, in Dovecot's words."""

from collections.abc import Callable
from typing import Final

from OpenSSL import SSL

_CLOSE_NOTIFY: Final = 0x100  # a warning that is none: the regular end
_FATAL: Final = 2
# RFC 8446 6, by number; names as OpenSSL has them.
_ALERTS: Final = {
    0: "close notify", 10: "unexpected_message", 20: "bad record mac", 21: "decryption failed",
    22: "record overflow", 30: "decompression failure", 40: "handshake failure", 41: "no certificate",
    42: "bad certificate", 43: "unsupported certificate", 44: "certificate revoked",
    45: "certificate expired", 46: "certificate unknown", 47: "illegal parameter", 48: "unknown CA",
    49: "access denied", 50: "decode error", 51: "decrypt error", 60: "export restriction",
    70: "protocol version", 71: "insufficient security", 80: "internal error",
    86: "inappropriate fallback", 90: "user canceled", 100: "no renegotiation", 109: "missing extension",
    110: "unsupported extension", 111: "certificate unobtainable", 112: "unrecognized name",
    113: "bad certificate status response", 114: "bad certificate hash value", 115: "unknown PSK identity",
    116: "certificate required", 120: "no application protocol",
}  # fmt: skip


def trace(context: SSL.Context, tell: Callable[[str], None]) -> None:
    """`tell` gets a line for every step of every handshake, and for every alert."""

    def step(conn: SSL.Connection, where: int, ret: int) -> None:
        if where & SSL.SSL_CB_ALERT:
            tell(_alert(where, ret))
        else:
            tell(f"SSL: where=0x{where:x}, ret={ret}: {conn.get_state_string().decode()}")

    context.set_info_callback(step)


def _alert(where: int, ret: int) -> str:
    if ret == _CLOSE_NOTIFY:
        return "SSL alert: close notify"
    kind = "fatal" if ret >> 8 == _FATAL else "warning"
    return f"SSL alert: where=0x{where:x}, ret={ret}: {kind} {_ALERTS.get(ret & 0xFF, 'unknown')}"
