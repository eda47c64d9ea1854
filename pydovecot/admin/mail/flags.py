"""doveadm flags add, remove, replace."""

import re
import time
from typing import Final

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import NOT_POSSIBLE, AdminError, Usage
from pydovecot.admin.mail import query, users
from pydovecot.admin.mail.failures import FAILURES
from pydovecot.admin.mail.mailboxes import each, failed, seqs_of
from pydovecot.admin.mail.users import Mail
from pydovecot.model.flags import FLAG_BY_NAME, NO_FLAGS, FlagSet, NamedKeywords, StoreOp
from pydovecot.model.search import Key
from pydovecot.storage.settings import MailSettings

_KEYWORD: Final = re.compile(r'[^\x00-\x20(){%*"\\\]\x7f-\U0010ffff]+')  # RFC 3501 9: flag-keyword = atom


class Flags:
    """users.Job."""

    output = ""
    key: Key
    flags: FlagSet

    def __init__(self, op: StoreOp) -> None:
        self._op = op

    def start(self, _context: Context, arguments: Arguments) -> None:
        names = arguments.many("flag") or arguments.text("flagstr").split(" ")
        words = arguments.many("query")
        if not words:
            raise Usage
        self.flags = parse([name for name in names if name])
        self.key = query.parse(words, time.time())

    def run(self, mail: Mail) -> None:
        bad = wrong_keyword(self.flags, mail.user.settings.get(MailSettings).mail_max_keyword_length)
        for view, found in each(mail, self.key, empty=bool(bad)):
            if bad:
                mail.context.log.error(f"Invalid keywords: {bad}")
                mail.context.fail(NOT_POSSIBLE)
                continue
            try:
                view.store(seqs_of(found), self._op, self.flags, silent=True)
            except FAILURES as exc:
                failed(mail, f"Committing mailbox {view.name} failed", exc)


def parse(names: list[str]) -> FlagSet:
    r"""Flags as IMAP writes them. `\Recent` can be named, and is the server's alone. Raises AdminError."""
    system = NO_FLAGS
    keywords: list[str] = []
    for name in names:
        if not name.startswith("\\"):
            keywords.append(name)
        elif name.lower() != "\\recent":
            flag = FLAG_BY_NAME.get(name.lower())
            if flag is None:
                raise AdminError(f"Invalid system flag: {name}")
            system |= flag
    return FlagSet(system, NamedKeywords(keywords))


def wrong_keyword(flags: FlagSet, longest: int) -> str:
    """What is wrong with a keyword; "" if nothing is."""
    if any(len(name) > longest for name in flags.keywords):
        return "Keyword length too long"
    if not all(map(_KEYWORD.fullmatch, flags.keywords)):
        return "Invalid characters in keyword"
    return ""


def add(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, Flags(StoreOp.ADD))


def remove(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, Flags(StoreOp.REMOVE))


def replace(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, Flags(StoreOp.REPLACE))
