"""The backend of the protocol: users from auth, mail in their stores, with the rights of each."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from pydovecot.delivery import detail
from pydovecot.delivery.deliver import INBOX, Delivery, DeliveryFailed
from pydovecot.delivery.mail import Mail
from pydovecot.delivery.settings import DeliverySettings
from pydovecot.delivery.spool import Spool
from pydovecot.event.event import Event
from pydovecot.ipc.auth_master import AuthLookupFailed, AuthMaster
from pydovecot.login import mail_user
from pydovecot.login.mail_stores import Stores
from pydovecot.login.mail_user import MailUser, user_log_prefix
from pydovecot.model.errors import InternalError
from pydovecot.proto.smtp.path import Path
from pydovecot.services.lmtp.crowd import Crowd
from pydovecot.services.lmtp.replies import reply
from pydovecot.services.lmtp.settings import LmtpSettings
from pydovecot.services.lmtp.transaction import (
    Client,
    LookupFailed,
    NoSuchUser,
    NotTaken,
    Recipient,
    Transaction,
)
from pydovecot.settings.view import SettingsView
from pydovecot.storage import plugins
from pydovecot.storage.api import SavedContent
from pydovecot.storage.settings import MailSettings

SERVICE: Final = "lmtp"
MAX_USERS: Final = 1000  # whose settings a connection remembers


@dataclass(frozen=True, slots=True)
class Account:
    """A recipient's user as userdb knows it."""

    user: str
    fields: Mapping[str, str]

    @property
    def key(self) -> tuple[str | tuple[str, str], ...]:
        """Two accounts with the same key are the same user."""
        return (self.user, *self.fields.items())


def received(client: Client, transaction: Transaction, to: str, hostname: str, now: float) -> str:
    """The Received field, RFC 5321 4.4. `to`: whom it is for, "" to say nothing of that."""
    origin = client.helo or "unknown"
    if client.remote_ip:
        origin += f" ([{'IPv6:' if ':' in client.remote_ip else ''}{client.remote_ip}])"
    lines = [f"Received: from {origin}"]
    if client.tls:
        lines.append(f"(using {client.tls})")
    lines += [f"by {hostname} with {'LMTPS' if client.tls else 'LMTP'}", f"id {transaction.session}"]
    last = f"(envelope-from <{transaction.sender_address}>)"
    lines.append(last)
    if to:
        lines.append(f"for <{to}>")
    return "\r\n\t".join(lines) + f"; {_date(int(now))}\r\n"


@lru_cache(maxsize=1)
def _date(now: int) -> str:
    """RFC 5322 3.3. Many messages come within one second."""
    return formatdate(now, localtime=True)


class LocalDelivery:
    """See transaction.Backend. `set_log_prefix`: log lines of a delivery name its user."""

    def __init__(
        self,
        view: SettingsView,
        event: Event,
        auth: AuthMaster,
        hostname: str,
        set_log_prefix: Callable[[str], None],
        crowd: Crowd | None = None,
    ) -> None:
        self._view, self._event, self._auth, self._hostname = view, event, auth, hostname
        self._set_log_prefix, self._crowd = set_log_prefix, crowd
        self._stores = Stores(SERVICE, event)
        self._users: dict[tuple[str | tuple[str, str], ...], MailUser] = {}
        self._settings = view.get(LmtpSettings)
        self._delivery = view.get(DeliverySettings)

    def find(self, client: Client, recipient: Path, session: str, forward: str) -> tuple[object, str]:
        """Ask userdb. Raises NoSuchUser, LookupFailed."""
        local = recipient.local.decode("utf-8", "surrogateescape")
        domain = recipient.domain.decode("utf-8", "surrogateescape")
        name, box = detail.split(local, domain, self._delivery.recipient_delimiter)
        params: dict[str, str | None] = {"session": session}
        if client.remote_ip:
            params |= {"lip": client.local_ip, "rip": client.remote_ip}
            params |= {"lport": str(client.local_port), "rport": str(client.remote_port)}
        if forward:
            params["forward_fields"] = forward
        try:
            found = self._auth.user(name, service=SERVICE, params=params)
        except AuthLookupFailed as exc:
            self._event.error(f"Failed to lookup user {name}: {exc}")
            raise LookupFailed from exc
        if found is None:
            raise NoSuchUser(name)
        return Account(found.user, found.fields), box

    def admit(self, client: Client, recipient: Recipient, size: int) -> None:
        """Not too many at once, and room in the mailbox. Raises NotTaken."""
        account = recipient.account
        assert isinstance(account, Account)
        if self._crowd is not None and not self._crowd.enter(account.user):
            text = f"<{recipient.address}> Too many concurrent deliveries for user"
            raise NotTaken(reply(451, "4.3.0", text))
        if self._settings.lmtp_rcpt_check_quota:
            try:
                self._check_room(client, recipient, account, size)
            except NotTaken:
                if self._crowd is not None:
                    self._crowd.leave_last()
                raise

    def forget(self) -> None:
        """Others may deliver to these recipients."""
        if self._crowd is not None:
            self._crowd.leave()

    def _check_room(self, client: Client, recipient: Recipient, account: Account, size: int) -> None:
        """Raises NotTaken. What cannot be found out is no reason to refuse: the delivery will tell."""
        try:
            user = self._user(client, recipient, account)
            with self._stores.use(user, account.key) as store:
                refused = store.refusal(INBOX, size)
        except InternalError as exc:
            self._event.error(f"Failed to initialize user {account.user}: {exc}")
            text = str(exc) if self._settings.lmtp_verbose_replies else "Temporary internal error"
            raise NotTaken(reply(451, "4.3.0", f"<{recipient.address}> {text}")) from exc
        finally:
            self._set_log_prefix("")
        if refused is not None:
            raise NotTaken(self._failed(recipient, DeliveryFailed(refused, refused.text)))

    @staticmethod
    def now() -> float:
        """Seconds."""
        return time.monotonic()

    def close(self) -> None:
        """The client is gone."""
        self._stores.close()

    def spool(self) -> Spool:
        """In memory, later in mail_temp_dir."""
        return Spool(self._delivery.mail_temp_dir)

    def deliver(self, client: Client, transaction: Transaction) -> list[bytes]:
        """Each recipient's own affair: one that fails does not keep the others from their mail."""
        assert transaction.spool is not None
        mail = Mail(transaction.spool, transaction.sender_address, self._added(client, transaction))
        millisecs = int((self.now() - transaction.begin) * 1000)
        shared: SavedContent | None = None
        answers: dict[int, bytes] = {}
        for recipient in transaction.recipients:
            if recipient.same_as is not None:
                answers[id(recipient)] = answers[id(recipient.same_as)]
                continue
            answers[id(recipient)], shared = self._one(client, recipient, mail, shared, millisecs)
        return [answers[id(recipient)] for recipient in transaction.recipients]

    def _added(self, client: Client, transaction: Transaction) -> bytes:
        """Header fields that go before the message: the same for all recipients, so it is written once."""
        lines = f"Return-Path: <{transaction.sender_address}>\r\n"
        # With more than one, each would learn of the others.
        alone = len(transaction.recipients) == 1
        address = self._delivery_address(transaction.recipients[0]) if alone else ""
        if address:
            lines += f"Delivered-To: {address}\r\n"
        if self._settings.lmtp_add_received_header:
            wanted = alone and self._settings.lmtp_hdr_delivery_address != "none"
            to = address or transaction.recipients[0].address if wanted else ""
            lines += received(client, transaction, to, self._hostname, time.time())
        return lines.encode("utf-8", "surrogateescape")

    def _delivery_address(self, recipient: Recipient) -> str:
        choice = self._settings.lmtp_hdr_delivery_address
        return {"final": recipient.address, "original": recipient.original}.get(choice, "")

    def _one(
        self, client: Client, recipient: Recipient, mail: Mail, shared: SavedContent | None, millisecs: int
    ) -> tuple[bytes, SavedContent | None]:
        account = recipient.account
        assert isinstance(account, Account)
        try:
            content = self._deliver_as_user(client, recipient, account, mail, shared, millisecs)
        except DeliveryFailed as exc:
            return self._failed(recipient, exc), shared
        except InternalError as exc:
            self._event.error(f"Failed to initialize user {account.user}: {exc}")
            text = str(exc) if self._settings.lmtp_verbose_replies else "Temporary internal error"
            return reply(451, "4.3.0", f"<{recipient.address}> {text}"), shared
        finally:
            self._set_log_prefix("")
        return reply(250, "2.0.0", f"<{recipient.address}> {recipient.session} Saved"), content or shared

    def _deliver_as_user(
        self,
        client: Client,
        recipient: Recipient,
        account: Account,
        mail: Mail,
        shared: SavedContent | None,
        millisecs: int,
    ) -> SavedContent | None:
        user = self._user(client, recipient, account)
        event = self._event.child(user=user.username, session=recipient.session)
        mailbox = recipient.detail if self._settings.lmtp_save_to_detail_mailbox else ""
        with self._stores.use(user, account.key) as store:
            delivery = Delivery(
                store,
                user.settings.get(DeliverySettings),
                event,
                mail_user.dated_internal_error,
                {**user.variables, "to_envelope": recipient.address},
                millisecs,
            )
            return delivery.deliver(mail, mailbox or INBOX, shared=shared)

    def _user(self, client: Client, recipient: Recipient, account: Account) -> MailUser:
        """Raises InternalError. Log lines name the user from now on."""
        facts = {"rip": client.remote_ip, "lip": client.local_ip, "auth_user": client.login or account.user}
        key = (*account.key, *facts.values())
        session = {"session": recipient.session}
        known = self._users.get(key)
        if known is None:
            if len(self._users) > MAX_USERS:
                self._users.clear()
            known = mail_user.resolve(self._view, account.user, SERVICE, account.fields, facts | session)
            self._users[key] = known
        user = replace(known, variables={**known.variables, **session})
        self._set_log_prefix(user_log_prefix(user))
        return user

    def _failed(self, recipient: Recipient, failure: DeliveryFailed) -> bytes:
        text = f"<{recipient.address}> {failure.text}"
        if failure.disk_full:
            return reply(452, "4.3.1", text)  # RFC 3463 3.4: the system's fault, and it may pass
        if not failure.over_quota:
            return reply(451, "4.2.0", text)
        if self._delivery.quota_full_tempfail:
            return reply(452, "4.2.2", text)
        return reply(552, "5.2.2", text)


def hostname_of(view: SettingsView) -> str:
    """The `hostname` setting, or the system's name."""
    return view.get(MailSettings).hostname or os.uname().nodename


def largest_message(view: SettingsView, event: Event) -> int:
    """The largest message that a plugin lets anybody have; 0: any."""
    sizes = []
    for plugin in plugins.configured(view.get(MailSettings).mail_plugins):
        limit = getattr(plugin, "max_message_size", None)
        if limit is not None:
            try:
                sizes.append(limit(view))
            except InternalError as exc:
                event.error(str(exc))
    return min(filter(None, sizes), default=0)
