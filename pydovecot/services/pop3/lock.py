"""pop3_lock_session: one POP3 session of a mailbox at a time, by a file as Dovecot makes it. RFC 1939 4."""

import os
import time
from typing import Final

from pydovecot.base.dotlock import Dotlock, LockTimeout
from pydovecot.model.errors import Code, UserError
from pydovecot.settings.expand import expand
from pydovecot.settings.view import SettingsView
from pydovecot.storage import location
from pydovecot.storage.settings import MailSettings, NamespaceSettings
from pydovecot.storage.user import StorageUser

FILE_NAME: Final = "dovecot-pop3-session"  # .lock is added
TIMEOUT_SECS: Final = 10  # a client that comes again at once finds the old session still closing
STALE_SECS: Final = 300  # Dovecot: a session that touches it no more is dead
TOUCH_SECS: Final = 60


class SessionLock:
    """Held from the login to the end of the session."""

    def __init__(self, folder: str) -> None:
        self._lock = Dotlock(os.path.join(folder, FILE_NAME), timeout=TIMEOUT_SECS, stale=STALE_SECS)
        self._held = False
        self._touched = 0.0

    def acquire(self) -> None:
        """Raises UserError when another session keeps it."""
        try:
            self._lock.acquire()
        except LockTimeout:
            raise UserError(Code.INUSE, "Mailbox is locked by another POP3 session.") from None
        self._held = True
        self._touched = time.monotonic()

    def touch(self) -> None:
        """The client is alive, so the lock is not stale."""
        now = time.monotonic()
        if self._held and now - self._touched >= TOUCH_SECS:
            self._touched = now
            try:
                os.utime(self._lock.path)
            except FileNotFoundError:
                pass  # somebody took it from us; release will see that as well

    def release(self) -> None:
        """Let go; harmless when it was never held."""
        if self._held:
            self._held = False
            self._lock.release()


def lock_of(user: StorageUser, view: SettingsView) -> SessionLock | None:
    """The lock of the user's INBOX; None for mail that is not in files."""
    inbox = next((section for section in view.sections(NamespaceSettings) if section.inbox), None)
    text = (inbox.location if inbox else "") or view.get(MailSettings).mail_location
    place = location.parse(expand(text, user.table()), user.home)
    return SessionLock(place.root) if os.path.isdir(place.root) else None
