"""What a plugin is asked and told, for every driver: its sums are those of the mailboxes."""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from pydovecot.model.errors import Code, UserError
from pydovecot.model.flags import NO_FLAGS, Flag, FlagSet, StoreOp
from pydovecot.model.numbers import Seq
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.hooks import Left
from pydovecot.storage.store import UserStore

PLAIN = FlagSet(NO_FLAGS, frozenset())
DELETED = FlagSet(Flag.DELETED, frozenset())
MESSAGE = b"Subject: %d\r\n\r\none\r\ntwo\r\n"


@dataclass
class Books:
    """Messages and octets (CRLF) by mailbox, as told. `limit`: so many more messages are let in."""

    messages: Counter[tuple[str, ...]] = field(default_factory=Counter)
    octets: Counter[tuple[str, ...]] = field(default_factory=Counter)
    limit: int = 1000
    expected: list[int] = field(default_factory=list)

    def mailbox(self, parts: tuple[str, ...]) -> "Box":
        return Box(self, parts)


@dataclass
class Box:
    books: Books
    parts: tuple[str, ...]

    def arriving(self) -> "Arriving":
        return Arriving(self)

    def left(self, messages: int, octets: int, crlf_octets: int) -> None:
        assert 0 < octets <= crlf_octets
        self.books.messages[self.parts] -= messages
        self.books.octets[self.parts] -= crlf_octets


@dataclass
class Arriving:
    box: Box
    messages: int = 0
    octets: int = 0

    def expect(self, octets: int) -> None:
        self.box.books.expected.append(octets)

    def add(self, octets: int, crlf_octets: int, *, moved: bool = False) -> None:
        assert 0 < octets <= crlf_octets
        if not moved and self.messages >= self.box.books.limit:
            raise UserError(Code.OVERQUOTA, "Full")
        self.messages += 1
        self.octets += crlf_octets

    def done(self, left: Left | None = None) -> None:
        books = self.box.books
        books.messages[self.box.parts] += self.messages
        books.octets[self.box.parts] += self.octets
        if left is not None:
            left.mailbox.left(left.messages, left.octets, left.crlf_octets)


@pytest.fixture
def books(store: UserStore) -> Books:
    made = Books()
    store.entries[0].backend.hook = made
    store.create("Box")
    save(store, 5)
    return made


def save(store: UserStore, count: int, name: str = "INBOX") -> None:
    saving = store.save(name)
    try:
        for number in range(count):
            saving.begin(PLAIN, None, expected=30)
            saving.write(MESSAGE % number)
            saving.finish()
        saving.commit()
    except BaseException:
        saving.rollback()
        raise


def balanced(store: UserStore, books: Books) -> bool:
    found = {name: store.status(name, size=True) for name in ("INBOX", "Box") if store.exists(name)}
    told = {("INBOX",): "INBOX", ("Box",): "Box"}
    return all(
        (books.messages[parts], books.octets[parts])
        == ((found[name].messages, found[name].size) if name in found else (0, 0))
        for parts, name in told.items()
    )


def test_saved(store: UserStore, books: Books) -> None:
    assert books.messages == {("INBOX",): 5}
    assert books.expected == [30] * 5
    assert balanced(store, books)


def test_copied_and_moved(store: UserStore, books: Books) -> None:
    view = store.open("INBOX")
    view.copy(SeqSet.of([1, 3]), "Box")
    assert balanced(store, books)
    view.move(SeqSet.of([2, 4]), "Box")
    assert balanced(store, books)
    view.sync()
    view.copy(SeqSet.of([1]), "INBOX")
    assert balanced(store, books)
    assert books.messages == {("INBOX",): 4, ("Box",): 4}
    view.close()


def test_expunged(store: UserStore, books: Books) -> None:
    view = store.open("INBOX")
    view.store(SeqSet.of([2, 5]), StoreOp.ADD, DELETED)
    view.expunge()
    assert balanced(store, books)
    view.sync()
    view.expunge_seqs(SeqSet.of([1]))
    assert balanced(store, books)
    assert books.messages[("INBOX",)] == 2
    view.close()


@pytest.mark.parametrize("target", ["INBOX", "Box"])
def test_replaced(store: UserStore, books: Books, target: str) -> None:
    view = store.open("INBOX")
    saving = store.save(target)
    saving.begin(PLAIN, None)
    saving.write(b"Subject: much longer than it was\r\n\r\nx\r\n")
    saving.finish()
    view.replace(Seq(2), saving)
    assert balanced(store, books)
    view.close()


def test_deleted_with_its_mailbox(store: UserStore, books: Books) -> None:
    save(store, 3, "Box")
    store.delete("Box")
    assert balanced(store, books)
    assert books.messages[("Box",)] == 0


def test_refused(store: UserStore, books: Books) -> None:
    books.limit = 2
    with pytest.raises(UserError, match="Full"):
        save(store, 3)
    view = store.open("INBOX")
    with pytest.raises(UserError, match="Full"):
        view.copy(SeqSet.of([1, 2, 3]), "Box")
    view.move(SeqSet.of([1, 2, 3]), "Box")
    view.close()
    assert (store.status("INBOX").messages, store.status("Box").messages) == (2, 3)
    assert balanced(store, books)
