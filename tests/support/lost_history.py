"""Make a store forget which messages were expunged, as it does by itself after very many of them."""

from pydovecot.index.mailbox import EXPUNGED
from pydovecot.storage.api import View
from pydovecot.storage.drivers.memory.view import MemoryView
from pydovecot.storage.indexed.view import IndexedView


def lose_history(view: View) -> None:
    """Expunges up to now are forgotten in the mailbox of this view."""
    if isinstance(view, MemoryView):
        mailbox = view._mailbox
        mailbox.expunged.clear()
        mailbox.expunged_from = mailbox.modseq
        return
    assert isinstance(view, IndexedView)
    index = view._index
    with index.database.write():
        index.database.execute("DELETE FROM log WHERE mailbox = ? AND kind = ?", (index.id, EXPUNGED))
        modseq = index.header().modseq
        index.set(gone_from=modseq, log_from=modseq)
