"""pop3_lock_session: one POP3 session of a mailbox at a time, by a file as Dovecot makes it. RFC 1939 4."""

import os
import time
from typing import Final

from pydovecot.base.dotlock import Dotlock, LockTimeout
from pydovecot.event.event import Event
from pydovecot.model.errors import Code, UserError
from pydovecot.settings.expand import expand
from pydovecot.settings.view import SettingsView
from pydovecot.storage import location
from pydovecot.storage.settings import MailSettings, NamespaceSettings
from pydovecot.storage.user import StorageUser

FILE_NAME: Final = "dovecot-pop3-session"  # .lock is added
TIMEOUT_SECS: Final = 10  # a client that comes again at once finds the old session still closing
STALE_SECS: Final = 360  # of another host: Dovecot's sessions touch theirs every five minutes
TOUCH_SECS: Final = 60


class SessionLock:
    """Held from the login to the end of the session."""

    def __init__(self, folder: str, event: Event) -> None:
        self._event = event
        self._lock = Dotlock(os.path.join(folder, FILE_NAME), timeout=TIMEOUT_SECS, stale=STALE_SECS)
        self._held = False
        self._touched = 0.0

    def acquire(self) -> None:
        """Raises UserError when another session keeps it, or when it cannot be made."""
        try:
            os.makedirs(os.path.dirname(self._lock.path), 0o700, exist_ok=True)
            self._lock.acquire()
        except LockTimeout:
            raise UserError(Code.INUSE, "Mailbox is locked by another POP3 session.") from None
        except OSError as exc:
            self._event.error(f"Couldn't create {self._lock.path}: {exc.strerror}")
            raise UserError(Code.UNAVAILABLE, "Failed to create POP3 session lock.") from None
        self._held = True
        self._touched = time.monotonic()

    def touch(self) -> None:
        """The session goes on, so the lock is not stale. Raises OSError when the lock is lost."""
        now = time.monotonic()
        if self._held and now - self._touched >= TOUCH_SECS:
            self._touched = now
            os.utime(self._lock.path)

    def release(self) -> None:
        """Let go; harmless when it was never held."""
        if self._held:
            self._held = False
            self._lock.release()


def lock_of(user: StorageUser, view: SettingsView, event: Event) -> SessionLock | None:
    """The lock of the user's INBOX, beside the indexes as in Dovecot; None for mail that is not in files."""
    inbox = next((section for section in view.sections(NamespaceSettings) if section.inbox), None)
    text = (inbox.location if inbox else "") or view.get(MailSettings).mail_location
    place = location.parse(expand(text, user.table()), user.home)
    index = place.key("INDEX")
    folder = index if index.startswith("/") else place.root
    return SessionLock(folder, event) if folder.startswith("/") else None
