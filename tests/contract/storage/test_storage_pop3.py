"""What POP3 sessions build on, for every driver: numbers that stay, sizes, UIDLs, deletion at the end."""

from collections.abc import Callable

import pytest

from pydovecot.model.flags import NO_FLAGS, Flag, FlagSet, StoreOp
from pydovecot.model.search import HasFlag, HasKeyword, Not
from pydovecot.storage.api import Column, ExpungedError, MailboxGoneError
from pydovecot.storage.store import UserStore
from tests.contract.storage.helpers import ALL, MESSAGE, append, seqs, system

OpenStore = Callable[[], UserStore]
SEEN = FlagSet(Flag.SEEN)


def test_numbers_stay_while_others_delete_and_deliver(open_one: OpenStore) -> None:
    mine, other = open_one(), open_one()
    append(mine, count=4)
    session = mine.open("INBOX")
    other.open("INBOX").expunge_seqs(seqs(2))
    append(other)
    session.sync(expunges=False)
    assert list(session.uids)[:4] == [1, 2, 3, 4]
    assert session.message(3).crlf() == MESSAGE
    with pytest.raises(ExpungedError):
        session.message(2)
    session.expunge_seqs(seqs(2, 3))
    assert list(open_one().open("INBOX").uids) == [1, 4, 5]


def test_rows_of_what_others_deleted(open_one: OpenStore) -> None:
    """Facts come from memory; content ends with ExpungedError behind the rows of the others."""
    mine, other = open_one(), open_one()
    append(mine, count=3)
    session = mine.open("INBOX")
    other.open("INBOX").expunge_seqs(seqs(2))
    facts = list(session.rows(ALL, (Column.SEQ, Column.UID, Column.POP3_UIDL)))
    assert facts == [(1, 1, ""), (2, 2, ""), (3, 3, "")]
    found = []
    with pytest.raises(ExpungedError):
        for row in session.rows(ALL, (Column.SEQ, Column.HEADER)):
            found.append(row[0])
    assert found == [1, 3]


def test_sizes_are_those_of_what_is_sent(store: UserStore) -> None:
    for text in (b"a: b\n\nc\n", b"a: b\r\n\r\nc", b"\r\r\n.\n\r", b"\n"):
        append(store, text=text)
    session = store.open("INBOX")
    rows = list(session.rows(ALL, (Column.SIZE, Column.PHYSICAL_SIZE, Column.QUICK_SIZE)))
    for number, (size, physical, quick) in enumerate(rows, 1):
        message = session.message(number)  # type: ignore[arg-type]
        assert (size, physical) == (len(message.crlf()), len(message.stored()))
        assert quick in (size, physical)


def test_header_column_ends_with_the_header(store: UserStore) -> None:
    append(store, text=b"X-UIDL: one\r\nSubject: a\r\n\r\nX-UIDL: two\r\n")
    append(store, text=b"X-UIDL: no body")
    (first,), (second,) = store.open("INBOX").rows(ALL, (Column.HEADER,))
    assert first == b"X-UIDL: one\r\nSubject: a\r\n\r\n"
    assert second.startswith(b"X-UIDL: no body")  # type: ignore[attr-defined]


def test_names_and_guids_are_single_and_stay(open_one: OpenStore) -> None:
    store = open_one()
    append(store, count=3)
    session = store.open("INBOX")
    before = list(session.rows(ALL, (Column.NAME, Column.GUID)))
    if before[0][0] == "":
        pytest.skip("no names, and equal headers have equal GUIDs")
    assert len({name for name, _ in before}) == len({guid for _, guid in before}) == 3
    session.store(ALL, StoreOp.ADD, FlagSet(Flag.SEEN, frozenset(("Work",))))
    assert list(open_one().open("INBOX").rows(ALL, (Column.NAME, Column.GUID))) == before


def test_saved_uidls_can_be_replaced_and_come_along(open_one: OpenStore) -> None:
    store = open_one()
    append(store, count=2)
    store.create("Other")
    session = store.open("INBOX")
    session.save_pop3_uidl([(session.uids[0], "first"), (session.uids[1], "a-b_c.9+/=%")])  # type: ignore[list-item]
    session.save_pop3_uidl([(session.uids[0], "again")])  # type: ignore[list-item]
    session.copy(ALL, "Other")
    for name in ("INBOX", "Other"):
        view = open_one().open(name)
        assert [row[0] for row in view.rows(ALL, (Column.POP3_UIDL,))] == ["again", "a-b_c.9+/=%"]


def test_any_text_as_uidl_does_no_harm(open_one: OpenStore) -> None:
    """What a store cannot keep it forgets; the others are kept all the same."""
    store = open_one()
    uids = append(store, count=5)
    session = store.open("INBOX")
    texts = ["two words", "a:b", "line\nend", "\x00", "kept"]
    session.save_pop3_uidl(list(zip(uids, texts, strict=True)))  # type: ignore[arg-type]
    saved = [row[0] for row in open_one().open("INBOX").rows(ALL, (Column.POP3_UIDL,))]
    assert saved[4] == "kept"
    assert all(found in ("", text) for found, text in zip(saved, texts, strict=True))
    assert list(open_one().open("INBOX").uids) == uids


def test_seen_messages_and_hidden_ones_are_found(store: UserStore) -> None:
    append(store, count=2, system=Flag.SEEN)
    append(store, count=2, keywords=["$Gone"])
    session = store.open("INBOX")
    assert list(session.search(HasFlag(Flag.SEEN))) == [1, 2]
    assert list(session.search(Not(HasKeyword("$Gone")))) == [1, 2]
    assert list(session.search(Not(HasKeyword("unknown")))) == [1, 2, 3, 4]
    session.store(seqs(1), StoreOp.ADD, FlagSet(NO_FLAGS, frozenset(("$Gone",))), silent=True)
    assert list(session.search(Not(HasKeyword("$Gone")))) == [2]


def test_reading_marks_and_rset_takes_it_back(open_one: OpenStore) -> None:
    store = open_one()
    append(store, count=3)
    session = store.open("INBOX")
    session.mark_seen(seqs(1, 3))
    assert system(open_one().open("INBOX")) == {1: Flag.SEEN, 2: 0, 3: Flag.SEEN}
    session.store(ALL, StoreOp.REMOVE, SEEN, silent=True)
    assert system(open_one().open("INBOX")) == {1: 0, 2: 0, 3: 0}


def test_marks_of_what_is_gone_are_no_error(open_one: OpenStore) -> None:
    mine, other = open_one(), open_one()
    append(mine, count=2)
    session = mine.open("INBOX")
    other.open("INBOX").expunge_seqs(seqs(1))
    session.mark_seen(seqs(1, 2))
    session.expunge_seqs(seqs(1))
    session.save_pop3_uidl([(session.uids[0], "gone"), (session.uids[1], "there")])  # type: ignore[list-item]
    view = open_one().open("INBOX")
    assert list(view.rows(ALL, (Column.UID, Column.POP3_UIDL))) == [(2, "there")]


def test_another_mailbox_of_the_name_is_not_changed(open_one: OpenStore) -> None:
    """UIDs of a view mean nothing in a mailbox that was made anew."""
    mine, other = open_one(), open_one()
    mine.create("Box")
    append(mine, "Box", count=2)
    session = mine.open("Box")
    session.verify()
    other.delete("Box")
    other.create("Box")
    append(other, "Box", count=2)
    other.open("Box")
    changes: list[Callable[[], object]] = [
        session.verify,
        lambda: session.mark_seen(seqs(1)),
        lambda: session.store(seqs(1), StoreOp.ADD, FlagSet(Flag.DELETED)),
        lambda: session.expunge_seqs(seqs(1)),
        lambda: session.expunge(),
        lambda: session.save_pop3_uidl([(session.uids[0], "x")]),  # type: ignore[list-item]
        lambda: session.sync(expunges=False),
    ]
    for change in changes:
        with pytest.raises(MailboxGoneError):
            change()
    view = open_one().open("Box")
    assert list(view.rows(ALL, (Column.UID, Column.SYSTEM_FLAGS, Column.POP3_UIDL))) == [
        (1, 0, ""),
        (2, 0, ""),
    ]
