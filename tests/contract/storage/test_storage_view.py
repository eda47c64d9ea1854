"""What a view promises, for every driver."""

import select
from collections.abc import Callable

import pytest

from pydovecot.model.errors import UserError
from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.numbers import ModSeq, Uid
from pydovecot.model.section import Section, Text
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, ExpungedError, MailboxGoneError
from pydovecot.storage.store import UserStore
from tests.contract.storage.helpers import ALL, MESSAGE, append, flags, seqs, system
from tests.support.lost_history import lose_history

OpenStore = Callable[[], UserStore]


def test_append_gives_ascending_uids(store: UserStore) -> None:
    assert append(store, count=3) == [1, 2, 3]
    assert append(store) == [4]
    assert list(store.open("INBOX").uids) == [1, 2, 3, 4]


def test_message_comes_back_as_it_was_sent(store: UserStore) -> None:
    append(store)
    message = store.open("INBOX").message(1)
    assert message.crlf() == MESSAGE
    assert message.stored() == MESSAGE.replace(b"\r\n", b"\n")
    assert message.header() == MESSAGE[: MESSAGE.index(b"body")]
    assert message.section(Section(text=Text.TEXT)) == b"body\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_any_chunks_make_the_same_message(store: UserStore, size: int) -> None:
    text = b"A: b\r\n\r\n\r\r\n\rx\n\r\ny\r"
    save = store.save("INBOX")
    save.begin(FlagSet(), None)
    for at in range(0, len(text), size):
        save.write(text[at : at + size])
    save.finish()
    save.commit()
    view = store.open("INBOX")
    (row,) = view.rows(ALL, (Column.SIZE, Column.PHYSICAL_SIZE))
    stored = text.replace(b"\r\n", b"\n")
    assert view.message(1).stored() in (stored, stored + b"\n")  # an mbox has whole lines
    assert row == (len(view.message(1).crlf()), len(view.message(1).stored()))


def test_rolled_back_messages_never_appear(store: UserStore) -> None:
    save = store.save("INBOX")
    save.begin(FlagSet(), None)
    save.write(MESSAGE)
    save.finish()
    save.begin(FlagSet(), None)
    save.write(b"half")
    save.rollback()
    assert store.status("INBOX").messages == 0


def test_received_date_and_flags_of_append(store: UserStore) -> None:
    append(store, system=Flag.SEEN | Flag.DRAFT, keywords=["Work", "$Forwarded"], received=1_000_000_000)
    view = store.open("INBOX")
    (row,) = view.rows(ALL, (Column.RECEIVED, Column.SYSTEM_FLAGS, Column.KEYWORDS))
    assert row[:2] == (1_000_000_000, Flag.SEEN | Flag.DRAFT)
    assert set(row[2]) == {"Work", "$Forwarded"}


def test_all_columns_are_there(store: UserStore) -> None:
    append(store, count=2)
    view = store.open("INBOX")
    for _ in range(2):
        for row in view.rows(ALL, tuple(Column)):
            values = dict(zip(Column, row, strict=True))
            assert values[Column.SIZE] == len(MESSAGE)
            assert values[Column.ENVELOPE].startswith(b'("Tue, 24 Nov 2026 06:00:00 +0100" "hello"')
            assert values[Column.BODY].startswith(b'("text" "plain"')
            assert values[Column.BODYSTRUCTURE].startswith(b'("text" "plain"')
            assert values[Column.HEADER].endswith(b"\r\n\r\n")
            assert values[Column.SENT] == 1_795_496_400
            assert values[Column.GUID] and values[Column.POP3_UIDL] == ""


def test_flags_on_the_wire_are_in_dovecots_order(store: UserStore) -> None:
    append(store, system=Flag.SEEN | Flag.DRAFT | Flag.ANSWERED, keywords=["zeta"])
    append(store, keywords=["Alpha", "ZETA"])
    view = store.open("INBOX")
    assert flags(view) == [b"\\Answered \\Seen \\Draft \\Recent zeta", b"\\Recent zeta Alpha"]
    assert list(view.keywords) == ["zeta", "Alpha"]


def test_recent_belongs_to_one_session(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    append(first, count=2)
    assert first.status("INBOX").recent == 2
    examined = first.open("INBOX", readonly=True)
    assert examined.recent == 2
    mine, other = first.open("INBOX"), second.open("INBOX")
    assert (mine.recent, other.recent) == (2, 0)
    append(second)
    assert other.sync().recent == 1
    assert mine.sync().recent is None
    assert mine.recent == 2
    assert second.status("INBOX").recent == 0


def test_pop3_leaves_recent(store: UserStore) -> None:
    append(store)
    store.open("INBOX", keep_recent=True).close()
    assert store.open("INBOX").recent == 1


def test_store_operations(store: UserStore) -> None:
    append(store, system=Flag.SEEN, keywords=["a"])
    view = store.open("INBOX", keep_recent=True, readonly=False)
    view.store(ALL, StoreOp.ADD, FlagSet(Flag.FLAGGED, frozenset(["b"])))
    assert flags(view) == [b"\\Flagged \\Seen \\Recent a b"]
    view.store(ALL, StoreOp.REMOVE, FlagSet(Flag.SEEN, frozenset(["A", "unknown"])))
    assert flags(view) == [b"\\Flagged \\Recent b"]
    view.store(ALL, StoreOp.REPLACE, FlagSet(Flag.DELETED, frozenset(["c"])))
    assert flags(view) == [b"\\Deleted \\Recent c"]
    assert store.open("INBOX").keywords[-1] == "c"


def test_sync_tells_own_changes_once_and_silent_ones_not(store: UserStore) -> None:
    append(store, count=2)
    view = store.open("INBOX")
    assert view.store(seqs(1), StoreOp.ADD, FlagSet(Flag.SEEN)).changed == seqs(1)
    view.store(seqs(2), StoreOp.ADD, FlagSet(Flag.SEEN), silent=True)
    assert list(view.sync().changed) == [1]
    assert list(view.sync().changed) == []
    view.mark_seen(ALL)
    assert list(view.sync().changed) == []


def test_silent_store_still_tells_what_others_did(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    append(first)
    mine, other = first.open("INBOX"), second.open("INBOX")
    other.store(ALL, StoreOp.ADD, FlagSet(Flag.FLAGGED))
    mine.store(ALL, StoreOp.ADD, FlagSet(Flag.SEEN), silent=True)
    assert list(mine.sync().changed) == [1]
    assert system(mine) == {1: Flag.FLAGGED | Flag.SEEN}


def test_other_sessions_see_changes_at_sync_only(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    append(first, count=3)
    mine, other = first.open("INBOX"), second.open("INBOX")
    mine.store(seqs(2), StoreOp.ADD, FlagSet(Flag.DELETED, frozenset(["new"])))
    mine.expunge()
    append(first)
    assert system(other) == {1: 0, 2: 0, 3: 0}
    changes = other.sync(expunges=False)
    assert (list(changes.expunged), changes.exists, changes.new_keywords) == ([], 4, True)
    assert list(other.uids) == [1, 2, 3, 4]
    changes = other.sync()
    assert (list(changes.expunged), list(changes.expunged_uids), changes.exists) == ([2], [2], None)
    assert list(other.uids) == [1, 3, 4]
    changes = mine.sync()
    assert (list(changes.expunged), changes.exists) == ([2], 3)


def test_expunge_of_some_uids(store: UserStore) -> None:
    append(store, count=4, system=Flag.DELETED)
    view = store.open("INBOX")
    view.expunge(seqs(2, 4, 9))
    assert list(view.sync().expunged) == [2, 4]
    view.expunge_seqs(seqs(1))
    assert list(view.sync().expunged_uids) == [1]
    assert store.status("INBOX").messages == 1


def test_expunged_content_is_gone_but_its_facts_stay(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    append(first, count=3)
    mine, other = first.open("INBOX"), second.open("INBOX")
    list(other.rows(ALL, (Column.RECEIVED, Column.SIZE)))
    mine.expunge_seqs(seqs(2))
    assert len(list(other.rows(ALL, (Column.UID, Column.FLAGS, Column.SIZE, Column.RECEIVED)))) == 3
    with pytest.raises(ExpungedError):
        other.message(2)
    seen = []
    with pytest.raises(ExpungedError):
        for row in other.rows(ALL, (Column.UID, Column.ENVELOPE)):
            seen.append(row[0])
    assert seen == [1, 3]
    assert other.store(ALL, StoreOp.ADD, FlagSet(Flag.SEEN)).gone


def test_modseq_conditions(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    append(first, count=3)
    mine, other = first.open("INBOX"), second.open("INBOX")
    before = mine.highest_modseq
    result = other.store(seqs(2), StoreOp.ADD, FlagSet(Flag.SEEN))
    assert result.modseq > before
    assert list(mine.changed_since(before)) == []  # not before it is told
    refused = mine.store(ALL, StoreOp.ADD, FlagSet(Flag.FLAGGED), unchanged_since=before)
    assert list(refused.modified) == [2]
    assert refused.changed == seqs(1, 3)
    mine.sync()
    assert list(mine.changed_since(before)) == [1, 2, 3]
    assert list(mine.changed_since(before, seqs(2))) == [2]
    modseqs = dict(mine.rows(ALL, (Column.UID, Column.MODSEQ)))
    assert modseqs[2] == result.modseq
    assert modseqs[1] == refused.modseq == mine.highest_modseq
    assert list(mine.changed_since(mine.highest_modseq)) == []


def test_modseq_of_an_untold_change_is_not_shown(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    append(first)
    mine, other = first.open("INBOX"), second.open("INBOX")
    other.store(ALL, StoreOp.ADD, FlagSet(Flag.SEEN))
    ((modseq,),) = mine.rows(ALL, (Column.MODSEQ,))
    assert modseq <= mine.highest_modseq


def test_vanished(store: UserStore) -> None:
    append(store, count=5)
    view = store.open("INBOX")
    before = view.highest_modseq
    view.expunge_seqs(seqs(2, 3))
    view.sync()
    middle = view.highest_modseq
    view.expunge_seqs(seqs(1))
    view.sync()
    assert list(view.vanished_since(before)) == [1, 2, 3]
    assert list(view.vanished_since(middle)) == [1]
    assert list(view.vanished_since(before, SeqSet(((3, 9),)))) == [3]
    assert list(view.vanished_since(ModSeq(view.highest_modseq))) == []


def test_vanished_when_the_history_is_lost(store: UserStore) -> None:
    append(store, count=7)
    view = store.open("INBOX")
    before = view.highest_modseq
    view.expunge_seqs(seqs(2, 3, 7))
    view.sync()
    lose_history(view)
    assert list(view.vanished_since(before)) == [2, 3, 7]
    assert list(view.vanished_since(ModSeq(view.highest_modseq))) == []
    assert list(view.vanished_since(before, SeqSet.from_ranges([(3, 0xFFFFFFFF)]))) == [3, 7]
    assert list(view.vanished_since(before, same_to=Uid(4))) == [7]
    later = view.highest_modseq
    view.expunge_seqs(seqs(1))
    view.sync()
    assert list(view.vanished_since(before, same_to=Uid(0))) == [1, 2, 3, 7]
    assert list(view.vanished_since(later)) == [1]


def test_vanished_leaves_out_what_is_still_to_be_told(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    append(first, count=6)
    mine, other = first.open("INBOX"), second.open("INBOX")
    before = mine.highest_modseq
    mine.expunge_seqs(seqs(1))
    mine.sync()
    other.expunge_seqs(seqs(2, 3, 5))
    changes = mine.sync(expunges=False)
    assert changes.held
    assert mine.highest_modseq < other.sync().highest_modseq
    assert list(mine.vanished_since(before)) == [1]
    changes = mine.sync()
    assert (list(changes.expunged_uids), changes.held) == ([2, 3, 5], False)
    assert mine.highest_modseq == other.highest_modseq
    assert list(mine.vanished_since(before)) == [1, 2, 3, 5]


def test_nothing_is_held_back_where_nothing_is_gone(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    append(first, count=2)
    mine, other = first.open("INBOX"), second.open("INBOX")
    other.store(seqs(1), StoreOp.ADD, FlagSet(Flag.SEEN))
    changes = mine.sync(expunges=False)
    assert (changes.held, changes.highest_modseq) == (False, mine.highest_modseq)
    assert mine.highest_modseq == other.sync().highest_modseq


def test_copy_keeps_flags_and_date(store: UserStore) -> None:
    append(store, count=2, system=Flag.FLAGGED, keywords=["k"], received=1_000_000_000)
    store.create("Box")
    append(store, "Box", keywords=["other"])
    result = store.open("INBOX").copy(ALL, "Box")
    assert (list(result.source), list(result.target)) == ([1, 2], [2, 3])
    box = store.open("Box")
    assert result.uidvalidity == box.uidvalidity
    assert list(box.rows(seqs(2), (Column.RECEIVED, Column.KEYWORDS, Column.SYSTEM_FLAGS))) == [
        (1_000_000_000, ("k",), int(Flag.FLAGGED))
    ]
    assert store.status("INBOX").messages == 2


@pytest.mark.parametrize("move", [False, True])
def test_copies_are_all_or_none(open_one: OpenStore, move: bool) -> None:
    first, second = open_one(), open_one()
    first.create("Box")
    append(first, count=3)
    mine, other = first.open("INBOX"), second.open("INBOX")
    other.expunge_seqs(seqs(2))
    result = mine.move(ALL, "Box") if move else mine.copy(ALL, "Box")
    assert (list(result.source), list(result.target), result.gone) == ([], [], True)
    assert first.status("Box").messages == 0
    assert list(mine.sync().expunged) == [2]
    result = mine.move(ALL, "Box") if move else mine.copy(ALL, "Box")
    assert (len(result.target), result.gone, first.status("Box").messages) == (2, False, 2)


def test_copy_into_the_same_mailbox(store: UserStore) -> None:
    append(store)
    view = store.open("INBOX")
    view.copy(ALL, "INBOX")
    assert view.sync().exists == 2


def test_move(store: UserStore) -> None:
    append(store, count=3)
    store.create("Box")
    view = store.open("INBOX")
    result = view.move(seqs(1, 3), "Box")
    assert (list(result.source), list(result.target)) == ([1, 3], [1, 2])
    assert list(view.sync().expunged) == [1, 3]
    assert store.status("Box").messages == 2
    assert store.open("Box").message(1).crlf() == MESSAGE


def test_move_into_the_same_mailbox(store: UserStore) -> None:
    append(store, count=2)
    view = store.open("INBOX")
    view.move(seqs(1), "INBOX")
    changes = view.sync()
    assert (list(changes.expunged), changes.exists) == ([1], 2)
    assert list(view.uids) == [2, 3]


def test_numbers_of_the_view(store: UserStore) -> None:
    append(store, count=4)
    view = store.open("INBOX")
    view.expunge_seqs(seqs(2))
    view.sync()
    assert view.seqs_of(SeqSet.from_ranges([(2, 3)])) == seqs(2)
    assert view.seqs_of(SeqSet.from_ranges([(0xFFFFFFFF, 3)])) == seqs(2, 3)
    assert view.seqs_of(SeqSet.from_ranges([(100, 0xFFFFFFFF)])) == seqs(3)
    assert view.first_unseen() == 1
    view.mark_seen(seqs(1, 2))
    assert view.first_unseen() == 3


def test_status(store: UserStore) -> None:
    append(store, count=2)
    append(store, system=Flag.SEEN | Flag.DELETED)
    status = store.status("INBOX", size=True)
    assert (status.messages, status.unseen, status.deleted, status.recent) == (3, 2, 1, 3)
    assert (status.uidnext, status.size) == (4, 3 * len(MESSAGE))
    view = store.open("INBOX")
    assert (view.uidvalidity, view.guid) == (status.uidvalidity, status.guid)
    assert view.highest_modseq == status.highest_modseq


def test_readonly_view_changes_nothing(store: UserStore) -> None:
    append(store)
    view = store.open("INBOX", readonly=True)
    view.mark_seen(ALL)
    with pytest.raises(UserError, match="read-only"):
        view.move(ALL, "INBOX")
    assert not view.keywords_allowed
    assert store.status("INBOX").unseen == 1


def test_pop3_uidls_are_kept(store: UserStore) -> None:
    append(store, count=2)
    view = store.open("INBOX")
    view.save_pop3_uidl([(view.uids[1], "abc123")])
    assert [row[0] for row in store.open("INBOX").rows(ALL, (Column.POP3_UIDL,))] == ["", "abc123"]


def test_watch_wakes_on_changes_of_others(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    append(first)
    view, other = first.open("INBOX"), second.open("INBOX")
    view.sync()
    fd = view.watch()
    assert fd is not None
    view.drain_watch()
    for change in (
        lambda: append(second),
        lambda: other.store(seqs(1), StoreOp.ADD, FlagSet(Flag.SEEN)),
        lambda: other.expunge_seqs(seqs(1)),
    ):
        change()
        assert select.select([fd], [], [], 1)[0], "not woken"
        assert view.drain_watch()
        changes = view.sync()
        assert changes.exists or changes.changed or changes.expunged
        view.drain_watch()
    view.close()


def test_deleted_mailbox_ends_its_views(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    first.create("Box")
    view = second.open("Box")
    first.delete("Box")
    with pytest.raises(MailboxGoneError):
        view.sync()


def test_mailbox_made_again_is_another_one(open_one: OpenStore) -> None:
    first, second = open_one(), open_one()
    first.create("Box")
    append(first, "Box")
    view = second.open("Box")
    validity = view.uidvalidity
    first.delete("Box")
    first.create("Box")
    with pytest.raises(MailboxGoneError):
        view.sync()
    again = second.open("Box")
    assert again.uidvalidity > validity
    assert len(again.uids) == 0
