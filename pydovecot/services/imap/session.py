"""The state of one IMAP session: the user's store, the selected mailbox, what was enabled. No sockets."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydovecot.event.event import Event
from pydovecot.model.seqset import EMPTY, SAVED, SeqSet
from pydovecot.proto.imap.syntax import BadSyntax
from pydovecot.services.imap import mailboxes
from pydovecot.services.imap.settings import ImapSettings
from pydovecot.storage.api import Changes, Store, View
from pydovecot.storage.attachments import Detection

if TYPE_CHECKING:
    from pydovecot.services.imap.dispatch import Verb


@dataclass(slots=True)
class Stats:
    """What imap_logout_format can show."""

    deleted: int = 0
    expunged: int = 0
    trashed: int = 0
    appended: int = 0
    fetch_hdr_count: int = 0
    fetch_hdr_bytes: int = 0
    fetch_body_count: int = 0
    fetch_body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """Time, so that tests can pass another."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    localtime: Callable[[float], time.struct_time] = time.localtime


@dataclass(slots=True)
class ToldModseqs:
    """What a QRESYNC client can make of the modseqs it was told. RFC 7162 3.2.

    `full`: up to here it was told everything. `fetched`: the highest MODSEQ in a FETCH response since the
    last answer. `last`: the running command's last sync. `kept`: see View.keeps_modseqs.
    """

    kept: bool = True
    full: int = 0
    fetched: int = 0
    last: Changes | None = None

    def begin(self, highest: int, kept: bool = True) -> None:
        """A mailbox was selected."""
        self.kept, self.full, self.fetched, self.last = kept, highest, 0, None

    def fetch(self, modseq: int) -> None:
        """MODSEQ of a message was told."""
        self.fetched = max(self.fetched, modseq)

    def due(self) -> int:
        """The HIGHESTMODSEQ to tell now, once; 0 for none.

        After VANISHED and EXISTS it has grown. While expunges are held back, a client that goes by the
        MODSEQs of FETCH responses would never learn of them: it is told the value from before.
        """
        changes, self.last = self.last, None
        if changes is None or not self.kept:
            return 0
        fetched, self.fetched = self.fetched, 0
        if changes.held:
            return self.full if fetched > self.full else 0
        before, self.full = self.full, changes.highest_modseq
        return self.full if self.full > max(before, fetched) else 0


@dataclass(slots=True)
class Session:
    """One logged-in user on one connection."""

    store: Store
    settings: ImapSettings
    event: Event
    username: str = ""
    literal_minus: bool = False  # imap_literal_minus: literals up to 4096 octets may come unasked, no larger
    capabilities: bytes = b"IMAP4rev1"
    id_reply: bytes = b'("name" "Dovecot")'
    id_log: Sequence[str] = ()
    special_use: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of mailboxes in dovecot.conf
    more_commands: Mapping[bytes, "Verb"] = field(default_factory=dict)  # of plugins: rows as dispatch's
    trash: frozenset[str] = frozenset()  # mailboxes with \Trash, for the statistics
    world: World = field(default_factory=World)
    view: View | None = None
    held_counts: bool = False  # EXISTS and RECENT wait for NOOP: imap_client_workarounds = delay-newmail
    condstore: bool = False  # RFC 7162 3.1: a CONDSTORE enabling command was seen
    rev2: bool = False  # IMAP4rev2 is enabled: RFC 9051 goes before RFC 3501
    qresync: bool = False  # RFC 7162 3.2.3: VANISHED instead of EXPUNGE
    modseqs: "ToldModseqs" = field(default_factory=lambda: ToldModseqs())
    saved: SeqSet = EMPTY  # UIDs of the last SEARCH RETURN (SAVE): what `$` stands for, RFC 5182
    max_keyword_length: int = 50
    detection: Detection | None = None  # mail_attachment_detection_options
    polls: bool = False  # mail_nfs_storage: what other hosts change wakes nobody here
    warned_of_polling: bool = False
    logged_out: bool = False
    farewell: str = ""  # the session must end after this command: the text of BYE
    stats: Stats = field(default_factory=Stats)

    @property
    def selected(self) -> View:
        """The selected mailbox; only for commands that need one."""
        assert self.view is not None
        return self.view

    @property
    def tells_modseqs(self) -> bool:
        """FETCH responses carry MODSEQ."""
        return self.condstore and self.view is not None and self.view.keeps_modseqs

    def workaround(self, name: str) -> bool:
        """One of imap_client_workarounds is on."""
        return name in self.settings.imap_client_workarounds

    def resolve(self, numbers: SeqSet, *, uid: bool) -> SeqSet:
        """The messages that the client means, as sequence numbers.

        Unknown UIDs are left out; an unknown sequence number is an error. RFC 3501 6.4.8, 9.
        """
        view = self.selected
        if uid or numbers is SAVED:
            return view.seqs_of(self.uids(numbers))
        exists = len(view.uids)
        resolved = numbers.resolve(exists)
        if not resolved or resolved.ranges[-1][1] > exists:
            raise BadSyntax("Invalid messageset")
        return resolved

    def uids(self, numbers: SeqSet) -> SeqSet:
        """A set of UIDs with `$` replaced by what it stands for."""
        return self.saved if numbers is SAVED else numbers

    @property
    def tells_uids(self) -> bool:
        """Every FETCH response that was not asked for has a UID. RFC 7162 3.2.10, RFC 9051 E.21."""
        return self.qresync or self.rev2

    def mailbox_name(self, wire: bytes) -> str:
        """The mailbox that the client means.

        A name that is not normalized, which only others can have made, is that mailbox if there is one.
        """
        name = self.new_mailbox_name(wire)
        if self.workaround("tb-extra-mailbox-sep") and len(name) > 1:
            spaces = [space for space in self.store.namespaces if name.startswith(space.prefix)]
            if spaces:
                name = name.removesuffix(max(spaces, key=lambda space: len(space.prefix)).separator)
                return "INBOX" if name.upper() == "INBOX" else name
        return name

    def new_mailbox_name(self, wire: bytes) -> str:
        """As `mailbox_name`, for CREATE: a separator at its end means something."""
        if not self.rev2:
            return mailboxes.decode(wire)
        name = mailboxes.decode_utf8(wire)
        given = mailboxes.given_name(name)
        if given is not None and name != "INBOX" and self.store.exists(given):
            return given
        return name

    def encode_mailbox(self, name: str) -> bytes:
        """A name for this client."""
        return mailboxes.encode(name, utf8=self.rev2)

    def enable_rev2(self) -> None:
        """Turn IMAP4rev2 on, for good."""
        self.rev2 = True
        if self.view is not None:
            self.view.hide_recent()

    def enable_condstore(self) -> Iterator[bytes]:
        """Turn CONDSTORE on; the first time in a mailbox its HIGHESTMODSEQ is told. RFC 7162 3.1.2.1."""
        if self.condstore:
            return
        self.condstore = True
        if self.view is not None:
            yield b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % self.view.highest_modseq

    def enable_qresync(self) -> Iterator[bytes]:
        """Turn QRESYNC on, and CONDSTORE with it. RFC 7162 3.2.3."""
        yield from self.enable_condstore()
        self.qresync = True

    def close_view(self) -> bool:
        """Unselect; True when something was selected."""
        view, self.view = self.view, None
        self.held_counts = False
        self.saved = EMPTY
        self.modseqs.begin(0)
        if view is None:
            return False
        view.close()
        return True

    def close(self) -> None:
        """Give back everything."""
        self.close_view()
        self.store.close()
