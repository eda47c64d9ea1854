"""doveadm mailbox create, delete, list, path, rename, subscribe, unsubscribe, update."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import Usage
from pydovecot.admin.mail import users
from pydovecot.admin.mail.failures import FAILURES
from pydovecot.admin.mail.mailboxes import check_names, failed, find, has_wildcards, mask_key, separator_of
from pydovecot.admin.mail.users import Mail
from pydovecot.base import mutf7
from pydovecot.model.errors import Code, UserError
from pydovecot.model.search import Key
from pydovecot.storage.api import ListOptions
from pydovecot.storage.list.pattern import Matcher
from pydovecot.storage.updating import MailboxUpdate

MAX_MODSEQ: Final = 2**63 - 1
_GUID: Final = re.compile(r"[0-9A-Fa-f]{32}")


class _Names:
    """users.Job for commands that take names of mailboxes and do one thing with each."""

    output = ""

    def __init__(self, work: Callable[[Mail, str], None], *, backwards: bool = False) -> None:
        self._work, self._backwards = work, backwards
        self._names: list[str] = []

    def start(self, _context: Context, arguments: Arguments) -> None:
        names = arguments.many("mailbox")
        if not names:
            raise Usage
        check_names(names)
        # Children before their parents.
        self._names = sorted(names, key=lambda one: one.encode(), reverse=True) if self._backwards else names

    def run(self, mail: Mail) -> None:
        for name in self._names:
            self._work(mail, name)


def _try(mail: Mail, what: str, step: Callable[[], object]) -> bool:
    try:
        step()
    except FAILURES as exc:
        failed(mail, what, exc)
        return False
    return True


# -- create, delete, rename


def create(context: Context, arguments: Arguments) -> int:
    subscribes = arguments.flag("subscriptions")
    guid = arguments.text("guid")
    if guid and not _GUID.fullmatch(guid):
        raise Usage

    def work(mail: Mail, name: str) -> None:
        shown = name.removesuffix(separator_of(mail.store, name))
        def step() -> None:
            mail.store.create(name)
            if guid:
                mail.store.update(shown, MailboxUpdate(guid=guid.lower()))

        _try(mail, f"Can't create mailbox {shown}", step)
        if subscribes:
            _try(mail, f"Can't subscribe to mailbox {shown}", lambda: mail.store.subscribe(shown))

    return users.run(context, arguments, _Names(work))


def delete(context: Context, arguments: Arguments) -> int:
    unsubscribes, recursive = arguments.flag("subscriptions"), arguments.flag("recursive")
    only_empty = arguments.flag("require-empty")

    def one(mail: Mail, name: str) -> None:
        def step() -> None:
            if only_empty and mail.store.status(name).messages:
                raise UserError(Code.NONE, "Mailbox isn't empty")
            mail.store.delete(name)

        _try(mail, f"Can't delete mailbox {name}", step)
        if unsubscribes:
            _try(mail, f"Can't unsubscribe mailbox {name}", lambda: mail.store.unsubscribe(name))

    def work(mail: Mail, name: str) -> None:
        for child in _children(mail, name) if recursive else ():
            one(mail, child)
        if name or not recursive:
            one(mail, name)

    return users.run(context, arguments, _Names(work, backwards=True))


def _children(mail: Mail, name: str) -> Sequence[str]:
    """All below a mailbox, the deepest first; of "" everything but INBOX, which cannot be deleted."""
    separator = separator_of(mail.store, name)
    pattern = name + separator + "*" if name else "*"
    found = [one.name for one in mail.store.list([pattern], ListOptions(want_children=False)) if one.exists]
    return sorted((one for one in found if one != "INBOX"), key=lambda one: one.encode(), reverse=True)


class _Rename:
    """users.Job."""

    output = ""
    old = new = ""

    def __init__(self, *, subscriptions: bool) -> None:
        self._subscriptions = subscriptions

    def start(self, _context: Context, arguments: Arguments) -> None:
        self.old, self.new = arguments.text("mailbox"), arguments.text("new-name")
        if not arguments.given("new-name"):
            raise Usage
        check_names([self.old, self.new])

    def run(self, mail: Mail) -> None:
        old, new = self.old, self.new
        _try(mail, f"Can't rename mailbox {old} to {new}", lambda: mail.store.rename(old, new))
        if self._subscriptions:
            _try(mail, f"Can't unsubscribe mailbox {old}", lambda: mail.store.unsubscribe(old))
            _try(mail, f"Can't subscribe to mailbox {new}", lambda: mail.store.subscribe(new))


def rename(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, _Rename(subscriptions=arguments.flag("subscriptions")))


# -- subscriptions


def subscribe(context: Context, arguments: Arguments) -> int:
    """Names without a mailbox are subscribed to as well, as in Dovecot."""

    def work(mail: Mail, name: str) -> None:
        step = lambda: mail.store.subscribe(name, unchecked=True)  # noqa: E731
        _try(mail, f"Can't subscribe to mailbox {name}", step)

    return users.run(context, arguments, _Names(work))


def unsubscribe(context: Context, arguments: Arguments) -> int:
    def work(mail: Mail, name: str) -> None:
        _try(mail, f"Can't unsubscribe mailbox {name}", lambda: mail.store.unsubscribe(name))

    return users.run(context, arguments, _Names(work))


# -- list


class _List:
    """users.Job."""

    output = "flow"
    key: Key

    def __init__(self, arguments: Arguments) -> None:
        self._subscribed = arguments.flag("subscriptions")
        self._encode = arguments.flag("mutf7") and not arguments.flag("no-mutf7")
        self._masks: list[str] = []

    def start(self, context: Context, arguments: Arguments) -> None:
        self._masks = arguments.many("mailbox-mask")
        self.key = mask_key(self._masks)
        context.printer().header("mailbox", hide=True)

    def run(self, mail: Mail) -> None:
        printer = mail.context.printer()
        for name in self._subscriptions(mail) if self._subscribed else self._all(mail):
            printer.value(mutf7.encode(name).decode() if self._encode else name)

    def _all(self, mail: Mail) -> Sequence[str]:
        return [name for name, _ in find(mail, self.key, all_kinds=True, selectable=False)]

    def _subscriptions(self, mail: Mail) -> Sequence[str]:
        options = ListOptions(subscribed=True, want_children=False)
        found = [one for one in mail.store.list(["*"], options) if one.subscribed]
        if not self._masks:
            return [one.name for one in found]
        if len(self._masks) == 1 and not has_wildcards(self._masks[0]):
            return self._masks  # a name is not looked for, as in Dovecot
        return [one.name for one in found if Matcher(self._masks, one.separator).matches(one.name)]


def list_(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, _List(arguments))


# -- update


class _Update:
    """users.Job."""

    output = ""
    name = ""
    changes = MailboxUpdate()

    def start(self, _context: Context, arguments: Arguments) -> None:
        self.name, guid = arguments.text("mailbox"), arguments.text("mailbox-guid")
        if not self.name or (guid and not _GUID.fullmatch(guid)):
            raise Usage
        check_names([self.name])
        self.changes = MailboxUpdate(
            uidvalidity=_uint32(arguments, "uid-validity"),
            guid=guid.lower(),
            min_uidnext=_uint32(arguments, "min-next-uid"),
            min_first_recent=_uint32(arguments, "min-first-recent-uid"),
            min_modseq=_number(arguments, "min-highest-modseq", MAX_MODSEQ),
        )
        _number(arguments, "min-highest-pvt-modseq", MAX_MODSEQ)  # no mailbox has private flags of its own

    def run(self, mail: Mail) -> None:
        _try(mail, f"Cannot update {self.name}", lambda: mail.store.update(self.name, self.changes))


def _uint32(arguments: Arguments, name: str) -> int:
    return _number(arguments, name, 2**32 - 1)


def _number(arguments: Arguments, name: str, highest: int) -> int:
    text = arguments.text(name, "0")
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > highest:
        raise Usage
    return int(text)


def update(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, _Update())


# -- path


class _Path:
    """users.Job."""

    output = "flow"
    name = ""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def start(self, context: Context, arguments: Arguments) -> None:
        self.name = arguments.text("mailbox")
        if not self.name or self._kind not in _PATHS:
            raise Usage
        check_names([self.name])
        context.printer().header("path", hide=True)

    def run(self, mail: Mail) -> None:
        def step() -> None:
            entry, parts = mail.store.find(self.name)
            path = _PATHS[self._kind](getattr(entry.backend, "layout", None), parts)
            if path:
                mail.context.printer().value(path)

        _try(mail, f"Can't find the path of mailbox {self.name}", step)


def _folder(layout: object, parts: tuple[str, ...]) -> str:
    path = getattr(layout, "path", None)
    return str(path(parts)) if path else ""


def _control(layout: object, parts: tuple[str, ...]) -> str:
    path = getattr(layout, "control_path", None)
    return str(path(parts)) if path else _folder(layout, parts)


def _index(layout: object, parts: tuple[str, ...]) -> str:
    path = getattr(layout, "index_path", None)
    return str(path(parts)) if path else ""


def _no_path(_layout: object, _parts: tuple[str, ...]) -> str:
    return ""


_PATHS: Final[dict[str, Callable[[object, tuple[str, ...]], str]]] = {
    "dir": _folder,
    "mailbox": _folder,
    "control": _control,
    "index": _index,
    "index-private": _no_path,
}


def path(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, _Path(arguments.text("type", "index")))
