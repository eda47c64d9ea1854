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
from pydovecot.settings.expand import expand
from pydovecot.settings.view import SettingsView
from pydovecot.storage.api import Store
from pydovecot.storage.settings import MailSettings

if TYPE_CHECKING:
    from pydovecot.delivery.bounce import Rejection

# sysexits.h
OK, USAGE, NO_USER, TEMPFAIL, NO_PERM = 0, 64, 67, 75, 77
MAX_FROM_LINE: Final = 1000  # of an mbox; what is longer is no such line


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
        """From the options of the command line by name, see cli.lda.NAMES."""
        sender = options.get("sender")
        return cls(
            None if sender is None else sender.strip().removeprefix("<").removesuffix(">"),
            options.get("original", ""),
            options.get("final", ""),
            options.get("mailbox", "") or INBOX,
            "stderr" in options,
        )


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
    return Mail(spool, sender or "")


@dataclass(frozen=True, slots=True)
class LocalAgent:
    """Delivers to one user. `internal_error`: what others may know of a fault of ours."""

    store: Store
    settings: SettingsView
    username: str
    variables: Mapping[str, str]
    event: Event
    internal_error: str

    def deliver(self, mail: Mail, envelope: Envelope) -> Outcome:
        """Save it. Only a full mailbox is the sender's business; all else may be better another time."""
        settings = self.settings.get(DeliverySettings)
        final = envelope.final or envelope.original or self.username
        variables = {**self.variables, "to_envelope": final}
        delivery = Delivery(self.store, settings, self.event, lambda: self.internal_error, variables)
        try:
            delivery.deliver(mail, envelope.mailbox)
        except DeliveryFailed as exc:
            return self._refused(mail, envelope, final, exc)
        return Outcome(OK)

    def _refused(self, mail: Mail, envelope: Envelope, final: str, failure: DeliveryFailed) -> Outcome:
        # Postfix puts it into its log, whatever the status is.
        text = failure.text + "\n" if envelope.to_stderr else ""
        if not failure.over_quota or self.settings.get(DeliverySettings).quota_full_tempfail:
            return Outcome(TEMPFAIL, text)
        if envelope.to_stderr:
            return Outcome(NO_PERM, text)
        message_id = mail.message_id or "unspecified"
        if not mail.sender:
            self.event.info(f"msgid={message_id}: Return-Path missing, rejection reason: {failure.text}")
            return Outcome(OK)
        from pydovecot.delivery import bounce

        hostname = self.settings.get(MailSettings).hostname or os.uname().nodename
        postmaster = expand(
            self.settings.get(DeliverySettings).postmaster_address, {**self.variables, "hostname": hostname}
        )
        rejection = bounce.Rejection(mail, final, failure.text, hostname, postmaster)
        return Outcome(OK, rejection=rejection)

    def reject(self, rejection: "Rejection") -> Outcome:
        """Send it. The process must be the user's own by now: it starts programs."""
        from pydovecot.delivery import bounce

        message_id = rejection.mail.message_id or "unspecified"
        try:
            rejection.send(self.settings.get(DeliverySettings))
        except bounce.CannotSend as exc:
            self.event.error(f"msgid={message_id}: Failed to send rejection: {exc}")
            return Outcome(TEMPFAIL)
        self.event.info(f"msgid={message_id}: rejected: {rejection.reason}")
        return Outcome(OK)
