"""What SORT and THREAD compare, as arrays by place (sequence number - 1) in a view."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pydovecot.mime import sortkeys
from pydovecot.model.seqset import SeqSet
from pydovecot.model.sort import SortKey
from pydovecot.storage.api import Column, ExpungedError, View
from pydovecot.storage.ordering import ranks
from pydovecot.storage.ordering.shelf import Kept, Shelf, aligned

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
_NUMBERS: Final = {SortKey.ARRIVAL: Column.RECEIVED, SortKey.SIZE: Column.SIZE}


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
        if key is SortKey.RELEVANCY:
            return bytes(len(self.uids))
        return self._numbers(_NUMBERS[key])

    def subjects(self) -> Sequence[int]:
        """Rank of the base subject (0: empty) * 2, + 1 when it is a reply or forward."""
        return self._text_ranks(SortKey.SUBJECT)

    # -- what is kept ----------------------------------------------------------------------------------------

    def kept(self, kind: str) -> bytes | None:
        """What `keep` was given for the same messages."""
        return self._shelf.current(kind, *self._key)

    def latest(self, kind: str) -> Kept | None:
        """What `keep` was given last."""
        return self._shelf.latest(kind)

    def keep(self, kind: str, values: bytes, *, uids: bool = True) -> None:
        """Keep something made of all messages; not when the content of one was gone already."""
        if self._complete:
            self._shelf.keep(kind, *self._key, Kept(self.uids.tobytes() if uids else b"", values))

    # -- numbers ---------------------------------------------------------------------------------------------

    def _numbers(self, column: Column) -> Sequence[int]:
        found = [0] * len(self.uids)
        for seq, value in self._rows(range(1, len(found) + 1), column):
            found[seq - 1] = value
        return found

    def dates(self) -> Sequence[int]:
        """When each message was sent; when it was received if it does not tell. RFC 5256 2.2."""
        dates: array[int] = array("q")
        if (current := self.kept("date")) is not None:
            dates.frombytes(current)
            return dates
        kept = self.latest("date")
        known = aligned(kept, "q", self.uids) if kept is not None else [None] * len(self.uids)
        missing = [place + 1 for place, value in enumerate(known) if value is None]
        for seq, sent, received in self._rows(missing, Column.SENT, Column.RECEIVED):
            known[seq - 1] = sent or received
        dates.extend([value or 0 for value in known])
        self.keep("date", dates.tobytes())
        return dates

    # -- texts -----------------------------------------------------------------------------------------------

    def _text_ranks(self, key: SortKey) -> Sequence[int]:
        packed: array[int] = array("I")
        if (current := self.kept(key.value)) is not None:
            packed.frombytes(current)
            return packed
        kept = self.latest(key.value)
        known = aligned(kept, "I", self.uids) if kept is not None else [None] * len(self.uids)
        missing = [place + 1 for place, value in enumerate(known) if value is None]
        if len(missing) > len(known) * _MANY_NEW:
            texts = self._texts(key, range(1, len(known) + 1))
            every = [texts[place] for place in range(len(known))]
            found = ranks.of_texts([text for text, _ in every])
            bits = [bit for _, bit in every]
        else:
            texts = self._texts(key, missing)
            bits = [(value or 0) & 1 for value in known]
            found = ranks.insert(
                ranks.compact([None if value is None else value >> 1 for value in known]),
                {place: text for place, (text, _) in texts.items()},
                lambda place: self._texts(key, [place + 1])[place][0],
            )
            for place, (_, bit) in texts.items():
                bits[place] = bit
        packed.extend([rank << 1 | bit for rank, bit in zip(found, bits, strict=True)])
        self.keep(key.value, packed.tobytes())
        return packed

    def _texts(self, key: SortKey, seqs: Sequence[int]) -> dict[int, tuple[str, int]]:
        """(text, bit) by place; empty ones of messages whose content is gone."""
        text_of = _TEXTS[key]
        texts = {seq - 1: text_of(block) for seq, block in self._rows(seqs, Column.FIELDS)}
        if len(texts) < len(seqs):
            for seq in seqs:
                texts.setdefault(seq - 1, ("", 0))
        return texts

    def blocks(self, seqs: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """(sequence number, header fields) of messages; those whose content is gone are left out."""
        yield from self._rows(seqs, Column.FIELDS)

    def _rows(self, seqs: Sequence[int], *columns: Column) -> Iterator[Any]:
        if not seqs:
            return
        try:
            yield from self._view.rows(SeqSet.of(seqs), (Column.SEQ, *columns))
        except ExpungedError:
            self._complete = False
