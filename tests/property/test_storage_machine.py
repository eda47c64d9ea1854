"""Any sequence of steps by two sessions gives the same answers on a Maildir as in memory."""

import shutil
import tempfile
from array import array
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.numbers import ModSeq
from pydovecot.model.seqset import SeqSet
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Changes, Column, View
from pydovecot.storage.drivers.memory.backend import forget_all
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.support.storage_check import check_store

ALL = SeqSet(((1, 10_000),))
COLUMNS = (Column.UID, Column.FLAGS, Column.SIZE)
flag_sets = st.builds(
    FlagSet,
    st.sampled_from([Flag(0), Flag.SEEN, Flag.DELETED, Flag.SEEN | Flag.FLAGGED, Flag.DRAFT]),
    st.frozensets(st.sampled_from(["a", "Bee", "$c"]), max_size=2),
)
picks = st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True).map(lambda n: SeqSet.of(sorted(n)))
sessions = st.integers(0, 1)


class Pair:
    """The same session on both drivers."""

    def __init__(self, stores: list[UserStore], box: str) -> None:
        self.stores, self.box = stores, box
        self.views: list[View] = [store.open(box) for store in stores]


class Machine(RuleBasedStateMachine):
    """Every rule does one thing on both drivers and compares what came of it."""

    @initialize()
    def begin(self) -> None:
        forget_all()
        self.lost = False
        self.root = Path(tempfile.mkdtemp(prefix="machine-"))
        self.all: list[UserStore] = []
        self.pairs = [Pair(self.open_stores(), "INBOX"), Pair(self.open_stores(), "INBOX")]
        for store in self.pairs[0].stores:
            store.create("Box")

    def open_stores(self) -> list[UserStore]:
        made = []
        for location in ("memory:machine", f"maildir:{self.root}/Maildir"):
            settings_view = MemoryView(
                {"mail_location": location, "mail_fsync": "never"}, NamespaceSettings(inbox=True)
            )
            made.append(open_store(StorageUser("m"), settings_view))
        self.all += made
        return made

    @rule(
        who=sessions,
        count=st.integers(1, 3),
        flags=flag_sets,
        box=st.sampled_from(["INBOX", "Box"]),
        size=st.integers(0, 3),
    )
    def append(self, who: int, count: int, flags: FlagSet, box: str, size: int) -> None:
        uids = []
        for store in self.pairs[who].stores:
            save = store.save(box)
            for _ in range(count):
                save.begin(flags, 1_000_000)
                save.write(b"Subject: x\r\n\r\n" + b"y\r\n" * size)
                save.finish()
            uids.append(list(save.commit().uids))
        assert uids[0] == uids[1]

    @rule(who=sessions, seqs=picks, op=st.sampled_from(StoreOp), flags=flag_sets, silent=st.booleans())
    def store(self, who: int, seqs: SeqSet, op: StoreOp, flags: FlagSet, silent: bool) -> None:
        memory, maildir = [view.store(seqs, op, flags, silent=silent) for view in self.pairs[who].views]
        assert (memory.changed, memory.gone) == (maildir.changed, maildir.gone)

    @rule(who=sessions, seqs=picks)
    def seen(self, who: int, seqs: SeqSet) -> None:
        for view in self.pairs[who].views:
            view.mark_seen(seqs)

    @rule(who=sessions, uids=st.none() | picks)
    def expunge(self, who: int, uids: SeqSet | None) -> None:
        for view in self.pairs[who].views:
            view.expunge(uids)

    @rule(who=sessions, seqs=picks, box=st.sampled_from(["INBOX", "Box"]), move=st.booleans())
    def copy(self, who: int, seqs: SeqSet, box: str, move: bool) -> None:
        results = [view.move(seqs, box) if move else view.copy(seqs, box) for view in self.pairs[who].views]
        told = [(list(r.source), list(r.target), r.gone) for r in results]
        assert told[0] == told[1]

    @rule(who=sessions, expunges=st.booleans())
    def sync(self, who: int, expunges: bool) -> None:
        memory, maildir = [view.sync(expunges=expunges) for view in self.pairs[who].views]
        assert self.plain(memory) == self.plain(maildir)

    @rule(who=sessions, box=st.sampled_from(["INBOX", "Box"]))
    def select(self, who: int, box: str) -> None:
        pair = self.pairs[who]
        for view in pair.views:
            view.close()
        self.pairs[who] = Pair(pair.stores, box)

    @rule(who=sessions)
    def lose_the_index(self, who: int) -> None:
        """At a moment when nobody is behind: the Maildir alone must give the same mailbox."""
        for pair in self.pairs:
            for view in pair.views:
                view.sync()
        for path in (self.root / "Maildir").glob("pydovecot.index*"):
            path.unlink()
        self.lost = True  # what was recent is known to the index alone

    @rule(who=sessions, back=st.integers(0, 3))
    def history(self, who: int, back: int) -> None:
        self.sync(who, True)
        for view in self.pairs[who].views:
            since = ModSeq(max(1, view.highest_modseq - back))
            changed = set(view.changed_since(since))
            modseqs = view.rows(ALL, (Column.SEQ, Column.MODSEQ))
            assert {seq for seq, modseq in modseqs if modseq > since} <= changed
            assert not set(view.vanished_since(since)) & set(view.uids)

    @invariant()
    def same_answers(self) -> None:
        for pair in getattr(self, "pairs", []):
            memory, maildir = pair.views
            assert list(memory.uids) == list(maildir.uids)
            assert memory.first_unseen() == maildir.first_unseen()
            assert self.lost or memory.recent == maildir.recent
            assert self.rows(memory) == self.rows(maildir)
            assert array_ascending(maildir.uids)
        for box in ("INBOX", "Box"):
            facts = []
            for store in self.pairs[0].stores if hasattr(self, "pairs") else []:
                status = store.status(box, size=True)
                facts.append((status.messages, status.unseen, status.deleted, status.uidnext, status.size))
            assert not facts or facts[0] == facts[1]

    def rows(self, view: View) -> list[tuple[object, ...]]:
        """UID, flags and size of all messages."""
        hidden = {b"\\Recent"} if self.lost else set()
        return [
            (uid, frozenset(flags.split()) - hidden, size)  # type: ignore[attr-defined]
            for uid, flags, size in view.rows(ALL, COLUMNS)
        ]

    def plain(self, changes: Changes) -> tuple[object, ...]:
        """What was told."""
        return (
            list(changes.expunged), list(changes.expunged_uids), changes.exists,
            None if self.lost else changes.recent, list(changes.changed), changes.new_keywords,
        )  # fmt: skip

    def teardown(self) -> None:
        if not hasattr(self, "all"):
            return
        check_store(self.pairs[0].stores[1])
        for store in self.all:
            store.close()
        shutil.rmtree(self.root)


def array_ascending(uids: "array[int]") -> bool:
    return list(uids) == sorted(set(uids))


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
