"""What a QRESYNC client says of its numbering, and which HIGHESTMODSEQ it may keep."""

from hypothesis import given
from hypothesis import strategies as st

from pydovecot.model.numbers import ModSeq
from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor, parse_modseq
from pydovecot.proto.imap.syntax import Atom, Quoted
from pydovecot.proto.imap.tokens import arguments
from pydovecot.services.imap import qresync
from pydovecot.services.imap.session import ToldModseqs
from pydovecot.storage.api import Changes

ascending = st.lists(st.integers(1, 60), min_size=1, max_size=30, unique=True).map(sorted)


@given(ascending, st.lists(st.integers(1, 300), min_size=30, max_size=30, unique=True).map(sorted))
def test_samples_are_pairs_of_both_sets(seqs: list[int], uids: list[int]) -> None:
    uids = uids[: len(seqs)]
    pairs = list(zip(seqs, uids, strict=True))
    found = list(qresync._ends(SeqSet.of(seqs), SeqSet.of(uids)))
    assert set(found) <= set(pairs)
    assert {uid for low, high in SeqSet.of(uids).ranges for uid in (low, high)} <= {uid for _, uid in found}
    assert [uid for _, uid in found] == sorted(uid for _, uid in found)


def test_long_ranges_cost_nothing() -> None:
    whole = SeqSet(((1, 0xFFFFFFFE),))
    assert set(qresync._ends(whole, whole)) == {(1, 1), (0xFFFFFFFE, 0xFFFFFFFE)}


def test_equal_up_to_the_first_difference() -> None:
    match = (SeqSet.of([1, 3, 5]), SeqSet.of([10, 30, 50]))
    assert qresync._same_to([10, 20, 30, 40, 50], match) == 50
    assert qresync._same_to([10, 20, 30, 40, 51], match) == 30
    assert qresync._same_to([10, 20, 31], match) == 10
    assert qresync._same_to([], match) == 0
    assert qresync._same_to([10], None) == 0


def test_parameters() -> None:
    (words,) = arguments(b"(7 90 1:4,9 (1,2 3,4))")
    known = qresync.parse(list(Cursor([words]).list()))
    assert (known.uidvalidity, known.modseq) == (7, 90)
    assert known.uids is not None and list(known.uids) == [1, 2, 3, 4, 9]
    assert known.match == (SeqSet.from_ranges([(1, 1), (2, 2)]), SeqSet.from_ranges([(3, 3), (4, 4)]))


def test_modseqs_have_63_bits_and_dovecot_takes_64() -> None:
    assert parse_modseq(Atom(b"0")) == 0
    assert parse_modseq(Atom(b"9223372036854775807")) == 2**63 - 1
    assert parse_modseq(Atom(b"18446744073709551615")) == 2**63 - 1
    for text in (b"18446744073709551616", b"-1", b"", b"1x", b"9" * 5000):
        assert parse_modseq(Atom(text)) is None
    assert parse_modseq(Quoted(b"1")) is None
    assert parse_modseq(None) is None


def told(full: int, fetched: int, highest: int, held: bool = False, kept: bool = True) -> tuple[int, int]:
    """What is told, and what the client knows in full then."""
    modseqs = ToldModseqs()
    modseqs.begin(full, kept)
    modseqs.fetch(fetched)
    modseqs.last = Changes(highest_modseq=ModSeq(highest), held=held)
    due = modseqs.due()
    assert modseqs.due() == 0, "told once"
    return due, modseqs.full


def test_which_highestmodseq_is_told() -> None:
    assert told(5, 0, 5) == (0, 5)
    assert told(5, 0, 7) == (7, 7)
    assert told(5, 7, 7) == (0, 7), "the FETCH has told it"
    assert told(5, 6, 7) == (7, 7)
    assert told(5, 6, 5, held=True) == (5, 5), "6 would hide the expunge that is held back"
    assert told(5, 5, 5, held=True) == (0, 5)
    assert told(5, 0, 7, kept=False) == (0, 5)
