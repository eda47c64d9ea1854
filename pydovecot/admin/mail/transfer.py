"""Messages from one user's view into another store: content, flags and dates come along."""

from collections.abc import Sequence
from typing import Final, cast

from pydovecot.model.flags import Flag, FlagSet
from pydovecot.model.numbers import Seq
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, Save, View

_COLUMNS: Final = (Column.SEQ, Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.RECEIVED)


def transfer(view: View, found: Sequence[int], save: Save) -> None:
    """All of these messages appear in the target, or none. Raises what reading or saving raises."""
    try:
        for row in view.rows(SeqSet.of(found), _COLUMNS):
            seq, flags, keywords, received = cast("tuple[int, int, tuple[str, ...], int]", row)
            message = view.message(Seq(seq))
            try:
                save.begin(FlagSet(Flag(flags), frozenset(keywords)), received)
                save.write(message.stored())
                save.finish()
            finally:
                message.close()
        save.commit()
    except BaseException:
        save.rollback()
        raise
