"""Which message refers to which: identifiers as numbers, for all messages of a view, kept between sessions.

Number 0 is none. Others are given in the order in which identifiers are met: first a message's own, then
those it refers to, the nearest last. A message without an identifier has a number of its own.
"""

import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from pydovecot.mime import sortkeys
from pydovecot.storage.ordering.values import Values

_KIND: Final = "links"
_HEAD: Final = struct.Struct("<II")
_HASH_BYTES: Final = 8  # two identifiers of one mailbox are not alike by chance: one in 10**9 for 200,000


@dataclass(slots=True)
class Links:
    """Message `place` has numbers[ends[place - 1]:ends[place]]; `hashes[n - 1]` is of identifier n."""

    ends: "array[int]" = field(default_factory=lambda: array("I"))
    numbers: "array[int]" = field(default_factory=lambda: array("I"))
    hashes: "array[int]" = field(default_factory=lambda: array("Q"))

    @property
    def highest(self) -> int:
        """The highest number in use."""
        return len(self.hashes)

    def spans(self, places: Sequence[int]) -> Iterable[tuple[int, int, int]]:
        """(place, where its numbers begin and end in `numbers`) for some places."""
        ends = self.ends.tolist()
        if len(places) == len(ends):
            return zip(places, [0, *ends], ends, strict=False)
        return ((place, ends[place - 1] if place else 0, ends[place]) for place in places)

    def add(self, found: Sequence[bytes], known: dict[int, int], seen: dict[bytes, int]) -> None:
        """The next message's identifiers. `known`: number by hash, `seen`: by identifier."""
        for name in found:
            number = seen.get(name, 0)
            if not number:
                digest = _hash(name) if name else 0
                number = known.get(digest, 0) if name else 0
                if not number:
                    self.hashes.append(digest)
                    number = len(self.hashes)
                if name:
                    known[digest] = seen[name] = number
            self.numbers.append(number)
        self.ends.append(len(self.numbers))

    def pack(self) -> bytes:
        """As bytes to be kept."""
        head = _HEAD.pack(len(self.ends), len(self.numbers))
        return head + self.ends.tobytes() + self.numbers.tobytes() + self.hashes.tobytes()

    @classmethod
    def unpack(cls, data: bytes) -> "Links":
        """What `pack` gave."""
        links = cls()
        messages, numbers = _HEAD.unpack_from(data)
        middle = _HEAD.size + messages * links.ends.itemsize
        end = middle + numbers * links.numbers.itemsize
        links.ends.frombytes(data[_HEAD.size : middle])
        links.numbers.frombytes(data[middle:end])
        links.hashes.frombytes(data[end:])
        return links


def _hash(name: bytes) -> int:
    return int.from_bytes(blake2b(name, digest_size=_HASH_BYTES).digest(), "little") or 1


def read(values: Values) -> Links:
    """The links of all messages of a view."""
    current = values.kept(_KIND)
    if current is not None:
        return Links.unpack(current)
    kept = values.latest(_KIND)
    links = Links()
    uids: array[int] = array("I")
    if kept is not None:
        uids.frombytes(kept.uids)
        links = _without_gone(Links.unpack(kept.values), uids, values.uids)
    count = len(values.uids)
    start = len(links.ends)
    if start < count:
        known = {digest: number for number, digest in enumerate(links.hashes, 1) if digest}
        _add_all(values, links, range(start, count), known)
    values.keep(_KIND, links.pack(), len(uids) - start + count - start)
    return links


def _add_all(values: Values, links: Links, places: range, known: dict[int, int]) -> None:
    seen: dict[bytes, int] = {}
    due = places.start
    for seq, block in values.blocks(places):
        for _ in range(due, seq - 1):
            links.add([b""], known, seen)  # its content is gone
        links.add(sortkeys.links(block), known, seen)
        due = seq
    for _ in range(due, places.stop):
        links.add([b""], known, seen)


def _without_gone(old: Links, before: "array[int]", now: "array[int]") -> Links:
    """The links of those messages that are still there, as far as they are the first of `now`."""
    if before == now[: len(before)]:
        return old
    there = {uid: place for place, uid in enumerate(before)}
    links = Links(hashes=old.hashes)
    for uid in now:
        place = there.get(uid)
        if place is None:
            break
        links.numbers.extend(old.numbers[old.ends[place - 1] if place else 0 : old.ends[place]])
        links.ends.append(len(links.numbers))
    return _renumbered(links)


def _renumbered(links: Links) -> Links:
    """The same with numbers given anew, once less than half of them are in use, as in Dovecot."""
    used = dict.fromkeys(links.numbers)
    if links.highest <= 2 * len(used):
        return links
    given = dict(zip(used, range(1, len(used) + 1), strict=True))
    numbers = array("I", map(given.__getitem__, links.numbers))
    return Links(links.ends, numbers, array("Q", [links.hashes[number - 1] for number in used]))
