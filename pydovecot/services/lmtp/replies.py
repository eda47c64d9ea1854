"""Replies in Dovecot's words: code, enhanced status (RFC 3463), text."""

from typing import Final


def reply(code: int, status: str, text: str) -> bytes:
    """One line."""
    return f"{code} {status} {text}\r\n".encode("utf-8", "surrogateescape")


OK: Final = reply(250, "2.0.0", "OK")
MAIL_OK: Final = reply(250, "2.1.0", "OK")
RCPT_OK: Final = reply(250, "2.1.5", "OK")
SEND_DATA: Final = b"354 OK\r\n"
BYE: Final = reply(221, "2.0.0", "Bye")
TRY_RCPT: Final = reply(252, "2.3.3", "Try RCPT instead")
BEGIN_TLS: Final = reply(220, "2.0.0", "Begin TLS negotiation now.")
UNKNOWN_COMMAND: Final = reply(500, "5.5.1", "Unknown command")
BAD_SYNTAX: Final = reply(500, "5.5.2", "Invalid command syntax")
BAD_PARAMETERS: Final = reply(501, "5.5.4", "Invalid parameters")
MISSING_HOSTNAME: Final = b"501 Missing hostname\r\n"
TLS_ACTIVE: Final = reply(502, "5.5.1", "TLS is already active.")
NO_TLS: Final = reply(502, "5.5.1", "TLS is not supported.")
MAIL_FIRST: Final = reply(503, "5.5.0", "MAIL needed first")
MAIL_GIVEN: Final = reply(503, "5.5.0", "MAIL already given")
NO_RECIPIENTS: Final = reply(503, "5.5.0", "No valid recipients")
BAD_SEQUENCE: Final = reply(503, "5.5.0", "Bad sequence of commands")
CHUNK_FAILED: Final = reply(503, "5.5.0", "Previous data chunk failed, issue RSET first")
NOT_TRUSTED: Final = reply(550, "5.7.14", "You are not from trusted IP")
XCLIENT_LATE: Final = reply(503, "5.5.0", "XCLIENT not permitted during a mail transaction")
BAD_CHUNK_SIZE: Final = reply(501, "5.5.4", "Invalid chunk size parameter")
BAD_END_MARKER: Final = reply(501, "5.5.4", "Invalid end marker parameter")
UNSUPPORTED: Final = reply(555, "5.5.4", "Unsupported parameters")
UNSUPPORTED_BODY: Final = reply(555, "5.5.4", "Unsupported mail BODY type")
TOO_MANY_RECIPIENTS: Final = reply(452, "4.5.3", "Too many recipients")
BAD_SIZE: Final = reply(501, "5.5.4", "Invalid SIZE= parameter")
TOO_LARGE: Final = reply(552, "5.3.4", "Message size exceeds administrative limit")
FLUSH: Final = b""  # what was said so far goes out now: what follows may take its time
NO_SPOOL: Final = reply(451, "4.3.0", "Temporary internal failure")
