"""Another UIDVALIDITY, GUID or next UID of a mailbox: in dovecot-uidlist, from which the index learns it."""

import os
from contextlib import suppress

from pydovecot.model.errors import Code, UserError
from pydovecot.storage.drivers.maildir import uidlist
from pydovecot.storage.drivers.maildir.place import MaildirPlace
from pydovecot.storage.updating import MailboxUpdate


def renumber(place: MaildirPlace, changes: MailboxUpdate) -> None:
    """Write the list's header anew, its lines as they are. Raises UserError, InternalError."""
    if not (changes.uidvalidity or changes.guid or changes.min_uidnext):
        return
    with place.uidlist_lock() as writable:
        if not writable:
            raise UserError(Code.NOPERM, "Permission denied")
        whole = uidlist.read(place.uidlist_path)
        whole.uidvalidity = changes.uidvalidity or whole.uidvalidity
        whole.guid = changes.guid or whole.guid
        whole.uidnext = max(whole.uidnext, changes.min_uidnext)
        permissions = place.host.permissions
        uidlist.write(
            place.uidlist_path, whole,
            mode=permissions.file_mode, gid=permissions.gid, fsync=place.host.fsync,
        )  # fmt: skip
        with suppress(OSError):
            os.utime(f"{place.path}/cur")  # a Dovecot on the same mail looks at the list then


def raise_limits(place: MaildirPlace, changes: MailboxUpdate) -> None:
    """What only the index knows, after it was brought up to date."""
    header = place.index.header()
    values = {}
    if changes.min_modseq > header.modseq:
        values["modseq"] = changes.min_modseq
    if changes.min_first_recent > header.first_recent:
        values["first_recent"] = changes.min_first_recent
    if values:
        with place.host.database.write():
            place.index.set(**values)
