"""SORT: messages in the order of some keys. RFC 5256 3, RFC 5957."""

from collections.abc import Sequence

from pydovecot.model.numbers import Seq
from pydovecot.model.sort import SortBy, SortKey
from pydovecot.storage.api import View
from pydovecot.storage.ordering.shelf import Shelf
from pydovecot.storage.ordering.values import Values


def in_order(view: View, shelf: Shelf, program: Sequence[SortBy], seqs: Sequence[Seq]) -> list[Seq]:
    """`seqs` (ascending) by the first key, equal ones by the next …, at last by number."""
    found = list(seqs)
    _sort(found, Values(view, shelf), program, 1)
    return found


def sort_places(values: Values, program: Sequence[SortBy], places: Sequence[int]) -> list[int]:
    """The same for places in the arrays of `values`."""
    found = list(places)
    _sort(found, values, program, 0)
    return found


def _sort(found: "list[Seq] | list[int]", values: Values, program: Sequence[SortBy], first: int) -> None:
    """Sort numbers of messages, counted from `first`."""
    # From the last key to the first: each sort leaves equal messages as the one before had them.
    for by in reversed(program):
        if by.key is not SortKey.RELEVANCY:
            column = [0] * first
            column.extend(values.of(by.key))
            found.sort(key=column.__getitem__, reverse=by.reverse)
