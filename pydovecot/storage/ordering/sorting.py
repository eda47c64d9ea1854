"""SORT: messages in the order of some keys. RFC 5256 3, RFC 5957."""

from collections.abc import Sequence
from typing import cast

from pydovecot.model.numbers import Seq
from pydovecot.model.sort import SortBy, SortKey
from pydovecot.storage.api import View
from pydovecot.storage.ordering.shelf import Shelf
from pydovecot.storage.ordering.values import Values


def in_order(view: View, shelf: Shelf, program: Sequence[SortBy], seqs: Sequence[Seq]) -> list[Seq]:
    """`seqs` (ascending) by the first key, equal ones by the next …, at last by number."""
    places = sort_places(Values(view, shelf), program, [seq - 1 for seq in seqs])
    return cast("list[Seq]", [place + 1 for place in places])


def sort_places(values: Values, program: Sequence[SortBy], places: Sequence[int]) -> list[int]:
    """The same for places in the arrays of `values`."""
    found = list(places)
    # From the last key to the first: each sort leaves equal messages as the one before had them.
    for by in reversed(program):
        if by.key is not SortKey.RELEVANCY:
            column = values.of(by.key)
            column = column if isinstance(column, list) else list(column)
            found.sort(key=column.__getitem__, reverse=by.reverse)
    return found
