"""SeqSet: ranges stay sorted, disjoint and complete."""

from hypothesis import given
from hypothesis import strategies as st

from pydovecot.model.seqset import STAR, SeqSet

NUMBERS = st.integers(min_value=1, max_value=300)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20)


@given(st.sets(NUMBERS))
def test_built_from_numbers_it_holds_just_these(numbers: set[int]) -> None:
    made = SeqSet.of(sorted(numbers))
    assert list(made) == sorted(numbers)
    assert len(made) == len(numbers)
    assert all((n in made) == (n in numbers) for n in range(1, 301))


@given(PAIRS)
def test_ranges_in_any_order_and_direction_are_normalised(pairs: list[tuple[int, int]]) -> None:
    wanted = {n for a, b in pairs for n in range(min(a, b), max(a, b) + 1)}
    made = SeqSet.from_ranges(pairs)
    assert set(made) == wanted
    # Adjacent ranges are joined: a gap lies between any two.
    assert all(b[0] > a[1] + 1 for a, b in zip(made.ranges, made.ranges[1:], strict=False))
    assert SeqSet.of(sorted(wanted)).ranges == made.ranges


def test_star_is_the_largest_number_wherever_it_stands() -> None:
    # RFC 3501 9: 559:* always includes the largest UID, also when that is below 559.
    assert list(SeqSet.from_ranges([(559, STAR)]).resolve(7)) == list(range(7, 560))
    assert list(SeqSet.from_ranges([(STAR, STAR)]).resolve(7)) == [7]
    assert SeqSet.from_ranges([(3, 5)]).resolve(7).encode() == b"3:5"


def test_star_of_an_empty_mailbox_is_nothing() -> None:
    assert not SeqSet.from_ranges([(STAR, STAR)]).resolve(0)


def test_the_wire_form_is_the_shortest() -> None:
    assert SeqSet.from_ranges([(9, 9), (1, 2), (3, 4), (7, 7)]).encode() == b"1:4,7,9"
    assert SeqSet().encode() == b""
