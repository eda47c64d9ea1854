"""Short words for what storage tests do all the time."""

from collections.abc import Iterable

from pydovecot.model.flags import Flag, FlagSet
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, Store, View

MESSAGE = b"From: a@example.org\r\nSubject: hello\r\nDate: Tue, 24 Nov 2026 06:00:00 +0100\r\n\r\nbody\r\n"


def append(
    store: Store,
    name: str = "INBOX",
    *,
    count: int = 1,
    system: Flag = Flag(0),
    keywords: Iterable[str] = (),
    text: bytes = MESSAGE,
    received: int | None = None,
) -> list[int]:
    """Save messages in one step; their UIDs."""
    save = store.save(name)
    for _ in range(count):
        save.begin(FlagSet(system, frozenset(keywords)), received)
        save.write(text)
        save.finish()
    return [int(uid) for uid in save.commit().uids]


def seqs(*numbers: int) -> SeqSet:
    """Sequence numbers or UIDs."""
    return SeqSet.of(numbers)


ALL = SeqSet(((1, 1_000_000),))


def flags(view: View) -> list[bytes]:
    """FLAGS of all messages."""
    return [row[0] for row in view.rows(ALL, (Column.FLAGS,))]  # type: ignore[misc]


def system(view: View) -> dict[int, int]:
    """System flags by UID."""
    return dict(view.rows(ALL, (Column.UID, Column.SYSTEM_FLAGS)))  # type: ignore[arg-type]
