"""A rejection: the message that tells a sender why the mail is in no mailbox. RFC 3464.

It says so in words, in a machine readable part, and gives the header back. It is sent in the null sender's
name, so that it can never be answered by another one (RFC 3834 4, RFC 5321 6.1).
"""

import os
import re
import smtplib
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from pydovecot.delivery.mail import HEAD_BYTES, Mail, shown
from pydovecot.delivery.settings import DeliverySettings
from pydovecot.mime import header
from pydovecot.settings.expand import expand

SEND_SECS: Final = 30.0
MAX_SUBJECT: Final = 200
_ADDRESS: Final = re.compile(r"[^\s<>\x00-\x1f\x7f]+@[^\s<>\x00-\x1f\x7f]+")


class CannotSend(Exception):
    """The rejection was not taken; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message was refused. `sender`: who is told; `recipient`: whose mailbox it was for."""

    mail: Mail
    sender: str
    recipient: str
    reason: str
    hostname: str
    postmaster: str

    def render(self, settings: DeliverySettings, *, now: float, random: Callable[[int], bytes]) -> bytes:
        """The whole message, CRLF."""
        unique = f"{int(now)}.{random(8).hex()}@{self.hostname}"
        boundary = f"{unique.replace('@', '/')}"
        about = shown(self.mail.fields.get(b"subject", b""), decode=True, most=MAX_SUBJECT)
        table = {"n": "\r\n", "r": self.reason, "s": about, "t": self.recipient}
        subject = shown(expand(settings.rejection_subject, table).encode(), most=2 * MAX_SUBJECT)
        text = expand(settings.rejection_reason, table)
        block = self.mail.spool.head(HEAD_BYTES)
        original = block[: header.end(block)].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        head = [
            f"Message-ID: <dovecot-{unique}>",
            f"Date: {formatdate(now, localtime=True)}",
            f"From: {self.postmaster if '<' in self.postmaster else f'Postmaster <{self.postmaster}>'}",
            f"To: <{self.sender}>",
            "MIME-Version: 1.0",
            "Content-Type: multipart/report; report-type=delivery-status;",
            f'\tboundary="{boundary}"',
            f"Subject: {subject}",
            "Auto-Submitted: auto-replied (rejected)",
            "Precedence: bulk",
            "",
            "This is a MIME-encapsulated message",
            "",
            f"--{boundary}",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Disposition: inline",
            "Content-Transfer-Encoding: 8bit",
            "",
            text,
            f"--{boundary}",
            "Content-Type: message/delivery-status",
            "",
            f"Reporting-MTA: dns; {self.hostname}",
            f"Final-Recipient: rfc822; {self.recipient}",
            "Action: failed",
            "Status: 5.2.2",  # RFC 3463: the mailbox is full; nothing else is rejected
            "",
            f"--{boundary}",
            "Content-Type: message/rfc822",
            "",
        ]
        end = f"\r\n\r\n--{boundary}--\r\n".encode()
        return "\r\n".join(head).encode("utf-8", "replace") + b"\r\n" + original + end

    def send(self, settings: DeliverySettings) -> None:
        """Give it to the MTA. Raises CannotSend."""
        message = self.render(settings, now=time.time(), random=os.urandom)
        if not _ADDRESS.fullmatch(self.sender):
            raise CannotSend(f"Invalid return address: {shown(self.sender.encode())}")
        if settings.submission_host:
            _by_smtp(settings.submission_host, self.sender, message)
        else:
            _by_program(settings.sendmail_path, self.sender, message)


def _by_program(program: str, recipient: str, message: bytes) -> None:
    arguments = [program, "-i", "-f", "<>", "--", recipient]
    try:
        done = subprocess.run(
            arguments, input=message, capture_output=True, timeout=SEND_SECS, check=False, shell=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CannotSend(f"{program} failed: {exc}") from exc
    if done.returncode:
        raise CannotSend(f"{program} returned exit code {done.returncode}")


def _by_smtp(where: str, recipient: str, message: bytes) -> None:
    host, _, port = where.partition(":")
    try:
        with smtplib.SMTP(host, int(port or 25), timeout=SEND_SECS) as client:
            client.sendmail("", [recipient], message)
    except (OSError, ValueError, smtplib.SMTPException) as exc:
        raise CannotSend(f"smtp({where}) failed: {exc}") from exc
