"""Copying through the contract alone: works between any two drivers."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydovecot.model.flags import FlagSet
from pydovecot.model.numbers import Uid
from pydovecot.storage.api import CopyResult
from pydovecot.storage.backend import Resolver


@dataclass(frozen=True, slots=True)
class Original:
    """One message to copy, with the flags that it has now."""

    uid: int
    flags: FlagSet
    received: int
    pop3_uidl: str
    stored: bytes
    sender: str | None = None


def copy_messages(
    originals: Iterable[Original], count: int, target: str, resolve: Resolver, *, moved: bool = False
) -> CopyResult:
    """Save copies in another mailbox, all or none (RFC 3501 6.4.7).

    Fewer than `count` originals: the others are gone, so none is copied. `moved`: they will go.
    """
    backend, parts = resolve(target)
    save = backend.save(parts)
    copied: list[Uid] = []
    try:
        for original in originals:
            save.begin(
                original.flags, original.received, pop3_uidl=original.pop3_uidl, moved=moved,
                sender=original.sender,
            )  # fmt: skip
            save.write(original.stored)
            save.finish()
            copied.append(Uid(original.uid))
        if len(copied) < count:
            save.rollback()
            return CopyResult(0, (), (), gone=True)
        result = save.commit()
    except BaseException:
        save.rollback()
        raise
    return CopyResult(result.uidvalidity, copied, result.uids)
