"""REPLACE: the new message is on the disk before the old one goes, both in one transaction of the index.

Who dies in between leaves both. Views see one or the other; only a program that lists the directories itself
may see both for a moment.
"""

import os

from pydovecot.model.errors import Code, UserError
from pydovecot.storage.api import ExpungedError, Save, SaveResult
from pydovecot.storage.drivers.maildir import changing, numbering
from pydovecot.storage.drivers.maildir.place import MaildirPlace
from pydovecot.storage.drivers.maildir.saving import MaildirSave
from pydovecot.storage.hooks import Left


class _Old:
    """The message that goes."""

    def __init__(self, place: MaildirPlace, uid: int) -> None:
        self._place, self._uid = place, uid
        self.gone = changing.Removed()

    def check(self) -> None:
        """In the index, and as a file under any name."""
        rows = changing.rows_of(self._place, [self._uid])
        try:
            if not rows:
                raise ExpungedError
            self._place.with_file(rows[0][3], _exists)
        except ExpungedError:
            raise UserError(Code.EXPUNGEISSUED, "The message to be replaced was expunged") from None

    def remove(self) -> None:
        """Unlink."""
        self.gone = changing.remove(self._place, [self._uid], only_deleted=False)

    def left(self) -> Left | None:
        """What the mailbox has less."""
        gone, hook = self.gone, self._place.hook
        return Left(hook, gone.messages, gone.octets, gone.crlf_octets) if hook is not None else None


def _exists(path: str) -> bytes:
    os.stat(path)
    return b""


def replace(place: MaildirPlace, uid: int, save: Save) -> SaveResult:
    """Save in any store, then remove."""
    old = _Old(place, uid)
    if isinstance(save, MaildirSave) and save.place.host.database is place.host.database:
        result = save.commit(old)
        place.host.count_quota(-old.gone.octets, -old.gone.messages)
    else:  # two commits cannot be one
        old.check()
        result = save.commit()
        old.remove()
        changing.tell(place, old.gone)
    numbering.compress(place)
    return result
