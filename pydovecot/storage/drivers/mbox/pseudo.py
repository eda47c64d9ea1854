"""The message that stands in an mbox without messages: it keeps UIDVALIDITY and the last UID.

c-client has invented it; mail programs know it by its text and do not show it, so it is the same everywhere.
"""

import os
from email.utils import formatdate
from typing import Final

from pydovecot.storage.drivers.mbox import fromline
from pydovecot.storage.drivers.mbox.scan import Base

SENDER: Final = "MAILER_DAEMON"
_TEXT: Final = """\
Date: {date}
From: Mail System Internal Data <MAILER-DAEMON@{host}>
Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA
Message-ID: <{when}@{host}>
X-IMAP: {uidvalidity} {last_uid:010}
Status: RO

This text is part of the internal format of your mail folder, and is not
a real message.  It is created automatically by the mail system software.
If deleted, important folder data will be lost, and it will be re-created
with the data reset to initial values.

"""


def message(base: Base, when: int) -> bytes:
    """All of it, with its From_ line."""
    text = _TEXT.format(
        date=formatdate(when, localtime=True), host=os.uname().nodename, when=when,
        uidvalidity=base.uidvalidity, last_uid=base.last_uid,
    )  # fmt: skip
    return fromline.create(SENDER, when) + text.encode()
