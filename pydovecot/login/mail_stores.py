"""Stores of the latest recipients, kept open: the next message is often for the same user.

Opening one costs more than saving a small message. Each is opened, used and closed with its user's rights.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydovecot.event.event import Event
from pydovecot.login import mail_user
from pydovecot.login.mail_user import MailUser
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser

KEPT: Final = 50  # Postfix gives so many recipients to one message (lmtp_destination_recipient_limit)

Key = tuple[object, ...]


class Stores:
    """By user, the latest last."""

    def __init__(self, service: str, event: Event) -> None:
        self._service, self._event = service, event
        self._open: dict[Key, tuple[MailUser, UserStore]] = {}

    @contextmanager
    def use(self, user: MailUser, key: Key) -> Iterator[UserStore]:
        """The user's store, as that user. `key`: what the user and its settings came from.

        After an exception it is closed: nobody knows what state it is in.
        """
        with mail_user.temporarily(user):
            kept = self._open.pop(key, None)
            store = kept[1] if kept is not None else self._make(user)
            try:
                yield store
            except BaseException:
                store.close()
                raise
        self._open[key] = (user, store)
        while len(self._open) > KEPT:
            self._close(next(iter(self._open)))

    def close(self) -> None:
        """The client is gone."""
        while self._open:
            self._close(next(iter(self._open)))

    def _make(self, user: MailUser) -> UserStore:
        described = StorageUser(
            user.username,
            user.home,
            self._service,
            dict(user.variables),
            self._event.error,
            self._event.info,
        )
        return open_store(described, user.settings)

    def _close(self, key: Key) -> None:
        user, store = self._open.pop(key)
        try:
            with mail_user.temporarily(user):
                store.close()
        except Exception as exc:  # noqa: BLE001 - the mail is saved: only the housekeeping has failed
            self._event.exception(f"Closing the mail store of {user.username} failed", exc)
