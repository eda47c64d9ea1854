"""What SORT and THREAD can be asked for. RFC 5256, RFC 5957."""

from dataclasses import dataclass
from enum import Enum


class SortKey(Enum):
    """What messages are ordered by; equal ones stay in the order of their numbers."""

    ARRIVAL = "arrival"  # INTERNALDATE
    CC = "cc"  # mailbox of the first address
    DATE = "date"  # Date: header; INTERNALDATE where there is none
    FROM = "from"
    SIZE = "size"
    SUBJECT = "subject"  # base subject
    TO = "to"
    DISPLAYFROM = "displayfrom"  # name, else the whole address
    DISPLAYTO = "displayto"
    RELEVANCY = "relevancy"  # how well a FUZZY search matched: all alike without a full text index


@dataclass(frozen=True, slots=True)
class SortBy:
    """One criterion."""

    key: SortKey
    reverse: bool = False


class ThreadKind(Enum):
    """How messages become threads."""

    ORDEREDSUBJECT = "orderedsubject"
    REFERENCES = "references"  # RFC 5256 3
    REFS = "refs"  # as REFERENCES without a look at subjects; threads with new messages last
