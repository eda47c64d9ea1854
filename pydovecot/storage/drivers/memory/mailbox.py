"""One mailbox as plain Python values: what is true, without views, files or a database."""

import os
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from pydovecot.model.flags import FLAG_NAMES, FlagSet, StoreOp, in_order

GUID_BYTES = 16
EXPUNGED_KEEP = 100_000  # expunged messages that QRESYNC clients can ask for


@dataclass(slots=True)
class Mail:
    """One message. `stored` has LF line ends unless it was saved with bare CRs."""

    uid: int
    stored: bytes
    system: int
    keywords: frozenset[str]
    received: int
    saved: int
    guid: str
    modseq: int
    pop3_uidl: str = ""
    preview: bytes | None = None  # once somebody asked for it


@dataclass(slots=True)
class Mailbox:
    """All messages by UID in order, and the history that views and QRESYNC ask for."""

    uidvalidity: int
    guid: str
    mails: dict[int, Mail] = field(default_factory=dict)
    uidnext: int = 1
    modseq: int = 1
    first_recent: int = 1
    keywords: list[str] = field(default_factory=list)
    expunged: list[tuple[int, int]] = field(default_factory=list)  # (modseq, uid) in order of time
    expunged_from: int = 0  # expunges after this modseq are all in `expunged`
    deleted: bool = False
    watchers: set[int] = field(default_factory=set)  # eventfds of the views that are open

    def spelled(self, keywords: Collection[str], *, create: bool = True) -> frozenset[str]:
        """Keywords as the mailbox spells them: the first spelling stays, new ones are added to the list."""
        known = {name.lower(): name for name in self.keywords}
        out = set()
        for name in in_order(keywords):
            if name.lower() not in known:
                if not create:
                    continue
                known[name.lower()] = name
                self.keywords.append(name)
            out.add(known[name.lower()])
        return frozenset(out)

    def next_modseq(self) -> int:
        """Number the change that is being made."""
        self.modseq += 1
        return self.modseq

    def add(
        self, stored: bytes, flags: FlagSet, received: int | None, guid: str, uidl: str, modseq: int
    ) -> Mail:
        """Append one message."""
        now = int(time.time())
        mail = Mail(
            uid=self.uidnext,
            stored=stored,
            system=int(flags.system),
            keywords=self.spelled(flags.keywords),
            received=now if received is None else received,
            saved=now,
            guid=guid or os.urandom(GUID_BYTES).hex(),
            modseq=modseq,
            pop3_uidl=uidl,
        )
        self.mails[mail.uid] = mail
        self.uidnext += 1
        return mail

    def expunge(self, uids: Iterable[int]) -> int:
        """Remove messages; returns how many were there."""
        gone = [uid for uid in uids if self.mails.pop(uid, None) is not None]
        if gone:
            modseq = self.next_modseq()
            self.expunged.extend((modseq, uid) for uid in gone)
            if len(self.expunged) > EXPUNGED_KEEP:
                self.expunged_from = self.expunged[-EXPUNGED_KEEP - 1][0]
                self.expunged = [(when, uid) for when, uid in self.expunged if when > self.expunged_from]
            self.wake()
        return len(gone)

    def wake(self) -> None:
        """Tell all open views that something changed."""
        for fd in self.watchers:
            os.eventfd_write(fd, 1)


def changed_flags(
    system: int, keywords: frozenset[str], op: StoreOp, flags: FlagSet, named: frozenset[str]
) -> tuple[int, frozenset[str]]:
    r"""What STORE makes of one message's flags; `named` are `flags.keywords` as the mailbox spells them."""
    if op is StoreOp.REPLACE:
        return int(flags.system), named
    if op is StoreOp.ADD:
        return system | flags.system, keywords | named
    return system & ~int(flags.system), keywords - named


def wire_flags(system: int, keywords: frozenset[str], recent: bool, order: Sequence[str]) -> bytes:
    """Flags as FETCH sends them, without parentheses; keywords in the order of the mailbox's list."""
    names = [name for flag, name in FLAG_NAMES if system & flag]
    if recent:
        names.append("\\Recent")
    if keywords:
        names.extend(name for name in order if name in keywords)
    return " ".join(names).encode("utf-8")
