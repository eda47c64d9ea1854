"""What clients do. Each maker gives one command for a connection, or None when it makes no sense now.

Every command is legal, and its `finish` knows what its answer has to be.
"""

from tests.stress import asking, changing, looking, mailboxes
from tests.stress.plan import Maker

MAKERS: tuple[tuple[Maker, int], ...] = (
    (looking.noop, 10),
    (looking.fetch_all, 8),
    (looking.fetch, 16),
    (changing.store, 12),
    (changing.store_keywords, 12),
    (changing.delete, 6),
    (changing.expunge, 6),
    (changing.append, 10),
    (changing.copy, 6),
    (changing.replace, 3),
    (asking.search, 8),
    (asking.sort, 4),
    (asking.thread, 3),
    (looking.status, 3),
    (looking.list_all, 1),
    (asking.idle, 8),
    (mailboxes.select, 5),
    (mailboxes.close, 2),
    (mailboxes.temporary, 2),
)
