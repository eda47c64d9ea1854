"""What dovecot-lda does with one message, whoever's process it runs in: read it, save it, or say why not."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydovecot.delivery.deliver import INBOX, Delivery, DeliveryFailed
from pydovecot.delivery.mail import Mail
from pydovecot.delivery.settings import DeliverySettings
from pydovecot.delivery.spool import Spool
from pydovecot.event.event import Event
from pydovecot.proto.smtp import path as paths
from pydovecot.proto.smtp.path import BadPath
from pydovecot.settings.expand import expand
from pydovecot.settings.view import SettingsView
from pydovecot.storage.api import Store
from pydovecot.storage.settings import MailSettings

if TYPE_CHECKING:
    from pydovecot.delivery.bounce import Rejection

# sysexits.h
OK, USAGE, NO_USER, TEMPFAIL, NO_PERM = 0, 64, 67, 75, 77
MAX_FROM_LINE: Final = 1000  # of an mbox; what is longer is no such line
UNKNOWN_SENDER: Final = "MAILER-DAEMON"


class BadEnvelope(Exception):
    """An option that makes no sense; the text is for who wrote the MTA's configuration."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the MTA said. `sender` None: it did not say."""

    sender: str | None = None
    original: str = ""
    final: str = ""
    mailbox: str = INBOX
    to_stderr: bool = False

    @classmethod
    def of(cls, options: Mapping[str, str]) -> "Envelope":
        """From the options of the command line by name, see cli.lda.NAMES. Raises BadEnvelope."""
        mailbox = options.get("mailbox", "") or INBOX
        if any("\udc80" <= char <= "\udcff" for char in mailbox):
            raise BadEnvelope(TEMPFAIL, f"Mailbox name not UTF-8: {mailbox}")
        return cls(
            _sender(options["sender"]) if "sender" in options else None,
            _recipient("a", options["original"]) if "original" in options else "",
            _recipient("r", options["final"]) if "final" in options else "",
            mailbox,
            "stderr" in options,
        )


def _sender(text: str) -> str:
    """-f: what is no address is nobody's; mail is not refused because of it."""
    path = paths.parse_reverse(_without_brackets(text.strip()).encode("utf-8", "surrogateescape"))
    return path.encode().decode("utf-8", "replace") if path.local else ""


def _recipient(option: str, text: str) -> str:
    inner = _without_brackets(text)
    try:
        if not inner:
            raise BadPath("Path is empty string")
        if any(char in inner for char in "<>"):
            raise BadPath("Invalid character in path")
        path = paths.parse_forward(inner.encode("utf-8", "surrogateescape"))
        return path.encode().decode("utf-8", "replace")
    except BadPath as exc:
        raise BadEnvelope(USAGE, f"Invalid -{option} parameter: {exc}") from exc


def _without_brackets(text: str) -> str:
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


@dataclass(frozen=True, slots=True)
class Outcome:
    """The exit status and what belongs on standard error. `rejection`: must be sent first (`reject`)."""

    status: int
    text: str = ""
    rejection: "Rejection | None" = None


def read_mail(envelope: Envelope, read: Callable[[], bytes], spool: Spool) -> Mail:
    """The message, up to where `read` gives nothing. A first line of an mbox only names the sender."""
    first = b""
    while b"\n" not in first and len(first) < MAX_FROM_LINE and (data := read()):
        first += data
    sender = envelope.sender
    line, newline, rest = first.partition(b"\n")
    if line.startswith(b"From ") and newline and len(line) < MAX_FROM_LINE:
        found = re.match(rb"From (\S+) ", line)
        if sender is None and found is not None:
            sender = found[1].decode("utf-8", "replace")
        first = rest
    spool.write(first)
    while data := read():
        spool.write(data)
    return Mail(spool, sender or "", named=UNKNOWN_SENDER if sender is None else sender)


@dataclass(frozen=True, slots=True)
class LocalAgent:
    """Delivers to one user. `name`: as the MTA wrote it; `internal_error`: what it may know of a fault."""

    store: Store
    settings: SettingsView
    name: str
    variables: Mapping[str, str]
    event: Event
    internal_error: Callable[[], str]

    def deliver(self, mail: Mail, envelope: Envelope) -> Outcome:
        """Save it. Only a full mailbox is the sender's business; all else may be better another time."""
        settings = self.settings.get(DeliverySettings)
        recipient = self._recipient(mail, envelope, settings)
        variables = {**self.variables, "to_envelope": recipient}
        delivery = Delivery(self.store, settings, self.event, self.internal_error, variables)
        try:
            delivery.deliver(mail, envelope.mailbox)
        except DeliveryFailed as exc:
            return self._refused(mail, envelope, recipient, exc, delivery)
        return Outcome(OK)

    def _recipient(self, mail: Mail, envelope: Envelope, settings: DeliverySettings) -> str:
        """The address that the message was for: what the MTA says, or a header field, or the user's own."""
        found = envelope.original
        if not found and settings.lda_original_recipient_header:
            found = mail.address_in(settings.lda_original_recipient_header)
        return found or (self.name if "@" in self.name else f"{self.name}@{self._hostname}")

    @property
    def _hostname(self) -> str:
        return self.settings.get(MailSettings).hostname or os.uname().nodename

    def _refused(
        self, mail: Mail, envelope: Envelope, recipient: str, failure: DeliveryFailed, delivery: Delivery
    ) -> Outcome:
        # Postfix puts it into its log, whatever the status is.
        text = failure.text + "\n" if envelope.to_stderr else ""
        if not failure.over_quota or self.settings.get(DeliverySettings).quota_full_tempfail:
            return Outcome(TEMPFAIL, text)
        delivery.log(mail, f"rejected: {failure.text}")
        if envelope.to_stderr:
            return Outcome(NO_PERM, text)
        automatic = mail.field(b"Auto-Submitted")
        if automatic and automatic.lower() != b"no":  # RFC 3834 4
            self.event.info(f"msgid={mail.message_id}: Auto-submitted message discarded: {failure.text}")
            return Outcome(OK)
        sender = mail.sender or mail.address_in("Return-Path")
        if not sender:
            self.event.info(f"msgid={mail.message_id}: Return-Path missing, rejection reason: {failure.text}")
            return Outcome(OK)
        from pydovecot.delivery import bounce

        postmaster = expand(
            self.settings.get(DeliverySettings).postmaster_address,
            {**self.variables, "hostname": self._hostname},
        )
        rejection = bounce.Rejection(mail, sender, recipient, failure.text, self._hostname, postmaster)
        return Outcome(OK, rejection=rejection)

    def reject(self, rejection: "Rejection") -> Outcome:
        """Send it. The process must be the user's own by now: it starts programs."""
        from pydovecot.delivery import bounce

        try:
            rejection.send(self.settings.get(DeliverySettings))
        except bounce.CannotSend as exc:
            message_id = rejection.mail.message_id
            self.event.error(f"msgid={message_id}: Temporarily failed to send rejection: {exc}")
            return Outcome(TEMPFAIL)
        return Outcome(OK)
