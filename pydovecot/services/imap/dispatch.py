"""All IMAP commands after login: one table, one row a command."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.services.imap.commands import (
    append,
    capability,
    check,
    close,
    copy,
    create,
    delete,
    enable,
    expunge,
    fetch,
    id,
    idle,
    list,
    logout,
    lsub,
    namespace,
    noop,
    rename,
    replace,
    search,
    select,
    sort,
    status,
    store,
    subscribe,
    thread,
)
from pydovecot.services.imap.errors import Missing
from pydovecot.services.imap.reply import Conversation
from pydovecot.services.imap.session import Session


@dataclass(frozen=True, slots=True)
class Verb:
    """How one command is read and run.

    `parse` None: it takes no arguments and, as Dovecot, ignores any. `selected`: only with a mailbox open.
    """

    parse: Callable[[Cursor], Any] | None
    run: Callable[[Session, Any], Conversation]
    selected: bool = False
    missing: Missing = Missing.CODE


COMMANDS: Final[dict[bytes, Verb]] = {
    b"APPEND": Verb(append.parse, append.run, missing=Missing.TRYCREATE),
    b"CAPABILITY": Verb(None, capability.run),
    b"CHECK": Verb(None, check.run, selected=True),
    b"CLOSE": Verb(None, close.run, selected=True),
    b"COPY": Verb(copy.parse, copy.run, selected=True, missing=Missing.TRYCREATE),
    b"CREATE": Verb(create.parse, create.run),
    b"DELETE": Verb(delete.parse, delete.run),
    b"ENABLE": Verb(enable.parse, enable.run),
    b"EXAMINE": Verb(select.parse, select.examine, missing=Missing.PLAIN),
    b"EXPUNGE": Verb(None, expunge.run, selected=True),
    b"FETCH": Verb(fetch.parse, fetch.run, selected=True),
    b"ID": Verb(id.parse, id.run),
    b"IDLE": Verb(None, idle.run),
    b"LIST": Verb(list.parse, list.run),
    b"LOGOUT": Verb(None, logout.run),
    b"LSUB": Verb(lsub.parse, lsub.run),
    b"MOVE": Verb(copy.parse_move, copy.run, selected=True, missing=Missing.TRYCREATE),
    b"NAMESPACE": Verb(None, namespace.run),
    b"NOOP": Verb(None, noop.run),
    b"RENAME": Verb(rename.parse, rename.run),
    b"REPLACE": Verb(replace.parse, replace.run, selected=True, missing=Missing.TRYCREATE),
    b"SEARCH": Verb(search.parse, search.run, selected=True),
    b"SELECT": Verb(select.parse, select.run, missing=Missing.PLAIN),
    b"SORT": Verb(sort.parse, sort.run, selected=True),
    b"STATUS": Verb(status.parse, status.run, missing=Missing.PLAIN),
    b"STORE": Verb(store.parse, store.run, selected=True),
    b"SUBSCRIBE": Verb(subscribe.parse, subscribe.run, missing=Missing.PLAIN),
    b"THREAD": Verb(thread.parse, thread.run, selected=True),
    b"UID COPY": Verb(copy.parse_uid, copy.run, selected=True, missing=Missing.TRYCREATE),
    b"UID EXPUNGE": Verb(expunge.parse_uid, expunge.run, selected=True),
    b"UID FETCH": Verb(fetch.parse_uid, fetch.run, selected=True),
    b"UID MOVE": Verb(copy.parse_uid_move, copy.run, selected=True, missing=Missing.TRYCREATE),
    b"UID REPLACE": Verb(replace.parse, replace.run_uid, selected=True, missing=Missing.TRYCREATE),
    b"UID SEARCH": Verb(search.parse_uid, search.run, selected=True),
    b"UID SORT": Verb(sort.parse_uid, sort.run, selected=True),
    b"UID STORE": Verb(store.parse_uid, store.run, selected=True),
    b"UID THREAD": Verb(thread.parse_uid, thread.run, selected=True),
    b"UNSELECT": Verb(None, close.unselect, selected=True),
    b"UNSUBSCRIBE": Verb(subscribe.parse, subscribe.unsubscribe),
    b"XLIST": Verb(list.parse, list.run),  # Gmail's LIST with special uses, which LIST shows as well
}

# These take their literals piece by piece.
STREAMING: Final = frozenset({b"APPEND", b"REPLACE", b"UID REPLACE"})
