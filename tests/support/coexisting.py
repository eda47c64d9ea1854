"""Sessions of ours and of Dovecot on one INBOX, with the same few steps: append, flag, expunge, look.

A message is known by the number in its subject; `text_of` of a subclass makes it.
"""

import time
from collections.abc import Callable
from typing import Final

from pydovecot.model.flags import FLAG_BY_NAME, FLAG_NAMES, Flag, FlagSet, StoreOp
from pydovecot.model.seqset import SeqSet
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Column, ExpungedError
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.support.dovecot_imap import DovecotImap

Mails = dict[int, tuple[int, frozenset[str]]]  # UID: number in the subject, flags
ALL: Final = SeqSet(((1, 1_000_000),))
SOON_SECS: Final = 60


def flagset(flags: frozenset[str]) -> FlagSet:
    """Names as a client sends them."""
    system = Flag(0)
    for flag in flags:
        system |= FLAG_BY_NAME.get(flag.lower(), Flag(0))
    return FlagSet(system, frozenset(flag for flag in flags if not flag.startswith("\\")))


def diff(seen: Mails, wanted: Mails) -> str:
    uids = sorted(uid for uid in seen.keys() | wanted.keys() if seen.get(uid) != wanted.get(uid))
    return "; ".join(f"{uid}: {seen.get(uid)} instead of {wanted.get(uid)}" for uid in uids)


def soon(look: Callable[[], Mails], expected: Callable[[], Mails], who: str) -> None:
    """What a session shows, within the second that Dovecot may trust a file's time."""
    deadline = time.monotonic() + SOON_SECS
    while (seen := look()) != expected():
        assert time.monotonic() < deadline, f"{who} shows {diff(seen, expected())}"
        time.sleep(0.05)


class OurSession:
    """Ours."""

    def __init__(self, location: str, home: str = "", **values: str) -> None:
        settings = MemoryView(
            {"mail_location": location, "mail_fsync": "never", **values}, NamespaceSettings(inbox=True)
        )
        self.store: UserStore = open_store(StorageUser("nobody", home), settings)
        self.view = self.store.open("INBOX")

    def text_of(self, ident: int) -> bytes:
        raise NotImplementedError

    def append(self, ident: int, flags: frozenset[str]) -> int:
        save = self.store.save("INBOX")
        save.begin(flagset(flags), None)
        save.write(self.text_of(ident))
        save.finish()
        return int(save.commit().uids[0])

    def flag(self, uid: int, op: StoreOp, flags: frozenset[str]) -> None:
        self.view.sync()
        self.view.store(self.view.seqs_of(SeqSet.of([uid])), op, flagset(flags))

    def expunge(self, uid: int) -> None:
        self.view.sync()
        self.view.store(self.view.seqs_of(SeqSet.of([uid])), StoreOp.ADD, FlagSet(Flag.DELETED))
        self.view.expunge(SeqSet.of([uid]))

    def content(self, uid: int, seq: int) -> bytes:
        """The message, or enough of it."""
        return self.view.message(seq).header()  # type: ignore[arg-type]

    def rows(self) -> Mails:
        self.view.sync()
        found: Mails = {}
        columns = (Column.UID, Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.SEQ)
        try:
            for uid, system, keywords, seq in self.view.rows(ALL, columns):
                names = {name for flag, name in FLAG_NAMES if system & flag}
                text = self.content(uid, seq)
                found[uid] = (int(text[9 : text.index(b"\r")]), frozenset(names | set(keywords)))
        except ExpungedError:
            pass  # another one was quicker
        return found

    def close(self) -> None:
        self.view.close()
        self.store.close()


class DovecotSession:
    """Dovecot's; its log must have no complaint."""

    def __init__(self, imap: DovecotImap) -> None:
        self.imap = imap

    def text_of(self, ident: int) -> bytes:
        raise NotImplementedError

    def append(self, ident: int, flags: frozenset[str]) -> int:
        return self.imap.append(self.text_of(ident), " ".join(sorted(flags)).encode())

    def flag(self, uid: int, op: StoreOp, flags: frozenset[str]) -> None:
        self.imap.command(b"NOOP")
        self.imap.command(
            b"UID STORE %d %s (%s)" % (uid, op.value.encode(), " ".join(sorted(flags)).encode())
        )

    def expunge(self, uid: int) -> None:
        self.imap.command(b"NOOP")
        self.imap.command(b"UID STORE %d +FLAGS (\\Deleted)" % uid)
        self.imap.command(b"UID EXPUNGE %d" % uid)

    def rows(self) -> Mails:
        return self.imap.rows()

    def close(self) -> None:
        trouble = self.imap.trouble()
        self.imap.close()
        assert not trouble, trouble
