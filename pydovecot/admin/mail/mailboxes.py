"""Which mailboxes a query is about; each of them opened, with the part of the query that is left there."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

from pydovecot.admin.errors import DATA, AdminError
from pydovecot.admin.mail.failures import FAILURES, status_of, text_of
from pydovecot.admin.mail.query import NOTHING, for_mailbox, names_of
from pydovecot.admin.mail.users import Mail, check_interrupted
from pydovecot.model.errors import Code, UserError
from pydovecot.model.search import All, Key, MailboxGuidIs, MailboxIs, Or
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import ListOptions, View
from pydovecot.storage.backend import Existence
from pydovecot.storage.list.pattern import Matcher
from pydovecot.storage.store import UserStore

_WILDCARDS: Final = frozenset("*%")
_INBOX: Final = "INBOX"


def check_names(names: Sequence[str]) -> None:
    """Raise AdminError unless all can be names of mailboxes."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise AdminError(f"Mailbox name not valid UTF-8: {name}", DATA) from None


def mask_key(masks: Sequence[str]) -> Key:
    """Any of these masks (`*`, `%`) or names; without one, all mailboxes. Raises AdminError."""
    check_names(masks)
    if not masks:
        return All()
    key: Key = MailboxIs(masks[0])
    for mask in masks[1:]:
        key = Or(key, MailboxIs(mask))
    return key


def has_wildcards(pattern: str) -> bool:
    return not _WILDCARDS.isdisjoint(pattern)


def find(
    mail: Mail, key: Key, *, all_kinds: bool = False, selectable: bool = True
) -> Iterator[tuple[str, Key]]:
    """Names of the mailboxes that may match, and the query in each. Names without wildcards are given as is.

    `all_kinds`: shared and public namespaces too, though nobody names them. `selectable` False: any names.
    """
    patterns, guid = names_of(key)
    if patterns and not any(map(has_wildcards, patterns)):
        for name in patterns:
            yield name, in_mailbox(mail.store, key, name)
        return
    everywhere = all_kinds or guid or bool(patterns)
    for entry in mail.store.list(patterns or ["*"], ListOptions(want_children=False)):
        if selectable and not (entry.exists and entry.selectable and _is_there(mail.store, entry.name)):
            continue
        if not everywhere and mail.store.find(entry.name)[0].settings.type != "private":
            continue
        left = in_mailbox(mail.store, key, entry.name)
        if left != NOTHING:
            yield entry.name, left


def _is_there(store: UserStore, name: str) -> bool:
    """Not one that would only be made by opening it (`auto`)."""
    if name == _INBOX:
        return True
    entry, parts = store.find(name)
    return entry.backend.existence(parts) is Existence.MAILBOX


def separator_of(store: UserStore, name: str) -> str:
    """Of the namespace that a name is in, whether it can be one or not."""
    spaces = store.namespaces
    found = (one.separator for one in spaces if one.prefix and name.startswith(one.prefix))
    return next(found, spaces[0].separator)


def in_mailbox(store: UserStore, key: Key, name: str) -> Key:
    """The query inside one mailbox; its GUID is looked up only if it matters."""
    separator = separator_of(store, name)

    def matches(one: MailboxIs | MailboxGuidIs) -> bool:
        if isinstance(one, MailboxIs):
            return Matcher([one.pattern], separator).matches(name)
        try:
            return store.status(name).guid == one.guid
        except FAILURES:
            return False

    return for_mailbox(key, matches)


def each(
    mail: Mail, key: Key, *, missing: str = "", empty: bool = False
) -> Iterator[tuple[View, Sequence[int]]]:
    """Every mailbox with messages that match, opened, and their sequence numbers.

    A mailbox that is not there is passed over; with `missing` (text with %s) that is an error. `empty`: those
    that can have such messages and have none, too.
    """
    for name, left in find(mail, key):
        check_interrupted()
        try:
            view = mail.store.open(name, keep_recent=True)
        except FAILURES as exc:
            _cannot_open(mail, name, exc, missing)
            continue
        with closing(view):
            try:
                found = everything(view) if isinstance(left, All) else view.search(left)
            except FAILURES as exc:
                failed(mail, f"Searching mailbox {name} failed", exc)
                continue
            if found or empty:
                yield view, found


def _cannot_open(mail: Mail, name: str, exc: BaseException, missing: str) -> None:
    if not (isinstance(exc, UserError) and exc.code is Code.NONEXISTENT):
        failed(mail, f"Syncing mailbox {name} failed", exc)
    elif missing:
        failed(mail, missing % name, exc)


def failed(mail: Mail, what: str, exc: BaseException) -> None:
    """Tell and count one failure."""
    mail.context.log.error(f"{what}: {text_of(exc)}")
    mail.context.fail(status_of(exc))


def everything(view: View) -> range:
    """All sequence numbers."""
    return range(1, len(view.uids) + 1)


def seqs_of(found: Sequence[int]) -> SeqSet:
    """Found numbers as a set."""
    if isinstance(found, range):
        return SeqSet(((found.start, found.stop - 1),)) if found else SeqSet()
    return SeqSet.of(found)
