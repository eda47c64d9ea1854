"""$HasAttachment and $HasNoAttachment for messages that were saved without: set when a client reads them.

With mail_attachment_detection_options = add-flags, unless it has no-flags-on-fetch.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from pydovecot.model.flags import NO_FLAGS, FlagSet, StoreOp
from pydovecot.model.numbers import Seq
from pydovecot.model.seqset import SeqSet
from pydovecot.services.imap.fetch_items import ContentItem, Item
from pydovecot.services.imap.session import Session
from pydovecot.storage.api import Column, ExpungedError
from pydovecot.storage.attachments import KEYWORDS, Detection

_OF_CONTENT: Final = (Column.ENVELOPE, Column.BODY, Column.BODYSTRUCTURE, Column.PREVIEW)


def detect(session: Session, items: Collection[Item], seqs: SeqSet) -> None:
    """Give messages their keyword if these items need what is in them."""
    detection = session.detection
    if detection is None or not detection.on_fetch or session.selected.readonly:
        return
    if not any(_needs_content(item) for item in items):
        return
    found: dict[str, list[Seq]] = {word: [] for word in KEYWORDS}
    for seq in _undecided(session, detection, seqs):
        try:
            message = session.selected.message(seq)
        except ExpungedError:
            continue
        found[detection.keyword(message.stored())].append(seq)
        message.close()
    for word, other in (KEYWORDS, KEYWORDS[::-1]):
        chosen = SeqSet.of(found[word])
        if chosen:
            session.selected.store(chosen, StoreOp.REMOVE, FlagSet(NO_FLAGS, frozenset((other,))))
            session.selected.store(chosen, StoreOp.ADD, FlagSet(NO_FLAGS, frozenset((word,))))


def _needs_content(item: Item) -> bool:
    if isinstance(item, ContentItem):
        return not (item.of_header and item.section.fields)
    return item.column in _OF_CONTENT


def _undecided(session: Session, detection: Detection, seqs: SeqSet) -> Sequence[Seq]:
    rows: Iterator[tuple[Any, ...]] = session.selected.rows(seqs, (Column.SEQ, Column.KEYWORDS))
    return [Seq(seq) for seq, keywords in rows if detection.wanted(keywords)]
