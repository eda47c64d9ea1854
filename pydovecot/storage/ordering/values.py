"""What SORT and THREAD compare, as arrays by place (sequence number - 1) in a view."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pydovecot.mime import sortkeys
from pydovecot.model.seqset import SeqSet
from pydovecot.model.sort import SortKey
from pydovecot.storage.api import Column, ExpungedError, View
from pydovecot.storage.ordering import ranks
from pydovecot.storage.ordering.shelf import Aligned, Kept, Shelf, aligned

# From this share of new messages on everything is compared anew: a place found costs some 15 texts read.
_MANY_NEW: Final = 1 / 50


def _subject(block: bytes) -> tuple[str, int]:
    found = sortkeys.base_subject(block)
    return found.text, found.is_reply


def _mailbox(name: bytes) -> Callable[[bytes], tuple[str, int]]:
    return lambda block: (sortkeys.mailbox(block, name), 0)


def _display(name: bytes) -> Callable[[bytes], tuple[str, int]]:
    return lambda block: (sortkeys.display(block, name), 0)


# The text of a header block, and a bit that is kept beside its rank.
_TEXTS: Final[dict[SortKey, Callable[[bytes], tuple[str, int]]]] = {
    SortKey.SUBJECT: _subject,
    SortKey.FROM: _mailbox(b"from"),
    SortKey.TO: _mailbox(b"to"),
    SortKey.CC: _mailbox(b"cc"),
    SortKey.DISPLAYFROM: _display(b"from"),
    SortKey.DISPLAYTO: _display(b"to"),
}


class Values:
    """Arrays of one view as it is now, made when first asked for."""

    def __init__(self, view: View, shelf: Shelf) -> None:
        self._view, self._shelf = view, shelf
        uids = view.uids
        self.uids: array[int] = uids if uids.typecode == "I" else array("I", uids)
        self._key = (len(uids), uids[-1] if uids else 0)
        self._complete = True

    def of(self, key: SortKey) -> Sequence[int]:
        """Numbers that compare as `key` does."""
        if key in _TEXTS:
            packed = self._text_ranks(key)
            return [value >> 1 for value in packed] if key is SortKey.SUBJECT else packed
        if key is SortKey.DATE:
            return self.dates()
        if key is SortKey.ARRIVAL:
            return self._kept_numbers("arrival", Column.RECEIVED)
        return self._sizes() if key is SortKey.SIZE else bytes(len(self.uids))

    def subjects(self) -> "array[int]":
        """Rank of the base subject (0: empty) * 2, + 1 when it is a reply or forward."""
        return self._text_ranks(SortKey.SUBJECT)

    # -- what is kept ----------------------------------------------------------------------------------------

    def kept(self, kind: str) -> bytes | None:
        """What `keep` was given for the same messages."""
        return self._shelf.current(kind, *self._key)

    def latest(self, kind: str) -> Kept | None:
        """What `keep` was given last."""
        return self._shelf.latest(kind)

    def keep(self, kind: str, values: bytes, changed: int) -> None:
        """Keep an array of all messages; not when the content of one was gone already."""
        if self._complete:
            self._shelf.keep(kind, *self._key, Kept(self.uids.tobytes(), values), changed=changed)

    def keep_answer(self, kind: str, answer: bytes) -> None:
        """Keep what is good for these messages only."""
        if self._complete:
            self._shelf.keep(kind, *self._key, Kept(b"", answer), changed=len(self.uids))

    # -- numbers ---------------------------------------------------------------------------------------------

    def _sizes(self) -> Sequence[int]:
        """Not kept: a size may turn out to be another one."""
        found = [0] * len(self.uids)
        for seq, value in self._rows(range(len(found)), Column.SIZE):
            found[seq - 1] = value
        return found

    def dates(self) -> Sequence[int]:
        """When each message was sent; when it was received if it does not tell. RFC 5256 2.2."""
        return self._kept_numbers("date", Column.SENT, Column.RECEIVED)

    def _kept_numbers(self, kind: str, *columns: Column) -> Sequence[int]:
        """The first of some columns that is not 0."""
        numbers: array[int] = array("q")
        if (current := self.kept(kind)) is not None:
            numbers.frombytes(current)
            return numbers
        known = aligned(self.latest(kind), "q", self.uids)
        for seq, *found in self._rows(known.missing, *columns):
            known.values[seq - 1] = next(filter(None, found), 0)
        numbers.extend(known.values)
        self.keep(kind, numbers.tobytes(), known.changed)
        return numbers

    # -- texts -----------------------------------------------------------------------------------------------

    def _text_ranks(self, key: SortKey) -> "array[int]":
        packed: array[int] = array("I")
        if (current := self.kept(key.value)) is not None:
            packed.frombytes(current)
            return packed
        known = aligned(self.latest(key.value), "I", self.uids)
        if len(known.missing) > len(self.uids) * _MANY_NEW:
            packed.extend(self._all_ranks(key))
        else:
            packed.extend(self._more_ranks(key, known))
        self.keep(key.value, packed.tobytes(), known.changed)
        return packed

    def _all_ranks(self, key: SortKey) -> Iterator[int]:
        """Packed ranks, from every message's text."""
        counter = ranks.Counter()
        found: array[int] = array("I", bytes(4 * len(self.uids)))
        for place, text, bit in self._texts(key, range(len(self.uids))):
            found[place] = counter.add(text) << 1 | bit
        final = counter.ranks()
        return (final[value >> 1] << 1 | value & 1 for value in found)

    def _more_ranks(self, key: SortKey, known: Aligned) -> Iterator[int]:
        """Packed ranks, from those that are known and the texts of new messages."""
        texts: dict[int, str] = {}
        bits = [value & 1 for value in known.values]
        for place, text, bit in self._texts(key, known.missing):
            texts[place], bits[place] = text, bit
        found = [value >> 1 for value in known.values]
        found = ranks.insert(
            ranks.compact(found) if known.gone else found,
            texts,
            lambda place: next((text for _, text, _ in self._texts(key, [place])), ""),
        )
        return (rank << 1 | bit for rank, bit in zip(found, bits, strict=True))

    def _texts(self, key: SortKey, places: Sequence[int]) -> Iterator[tuple[int, str, int]]:
        """(place, text, bit); messages whose content is gone are left out, as if they had no text."""
        text_of = _TEXTS[key]
        for seq, block in self._rows(places, Column.FIELDS):
            text, bit = text_of(block)
            yield seq - 1, text, bit

    def blocks(self, places: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """(sequence number, header fields) of messages; those whose content is gone are left out."""
        yield from self._rows(places, Column.FIELDS)

    def _rows(self, places: Sequence[int], *columns: Column) -> Iterator[Any]:
        if not places:
            return
        try:
            yield from self._view.rows(SeqSet.of([place + 1 for place in places]), (Column.SEQ, *columns))
        except ExpungedError:
            self._complete = False
