"""The commands on users' mail."""

from typing import Final

from pydovecot.admin.arguments import Param, file, flag, many, text, word, words
from pydovecot.admin.table import Command

# What every mail command takes, and how usages begin.
COMMON: Final[tuple[Param, ...]] = (
    flag("A", "all-users"),
    text("S", "socket-path"),
    text("u", "user"),
    file("F", "user-file"),
    flag("", "no-userdb-lookup"),
)
WHO: Final = "[-u <user>|-A] [-S <socket_path>] "
_HERE: Final = "pydovecot.admin.mail."


_QUERY: Final = words("query")
_FLAGS: Final = (many("f", "flag"), word("flagstr"), _QUERY)
_TO: Final = (word("destination-mailbox"), _QUERY)
_FLAGS_USAGE: Final = "<flags> <search query>"
_TO_USAGE: Final = "<destination> [user <source user>] <search query>"
_SUBSCRIPTIONS: Final = flag("s", "subscriptions")
_BOXES: Final = words("mailbox")
_QUOTA: Final = "pydovecot.plugins.quota.doveadm"


def _mail(name: str, where: str, usage: str, *params: Param) -> Command:
    """`where`: module below admin/mail, and function if it is not `run`."""
    module, _, function = where.partition(":")
    return Command(name, _HERE + module, WHO + usage, (*COMMON, *params), function or "run")


def _quota(name: str, function: str) -> Command:
    return Command(name, _QUOTA, "", COMMON, function, plugin="quota", hidden=True)


MAIL: Final[tuple[Command, ...]] = (
    _mail("altmove", "formats:altmove", "[-r] <search query>", flag("r", "reverse"), _QUERY),
    _mail("copy", "copying:copy", _TO_USAGE, *_TO),
    _mail("deduplicate", "deduplicate", "[-m] <search query>", flag("m", "by-msgid"), _QUERY),
    _mail("expunge", "expunging", "[-m] <search query>", flag("d", "delete-empty-mailbox"), _QUERY),
    _mail("fetch", "fetch", "<fields> <search query>", many("", "field"), word("fieldstr"), _QUERY),
    _mail("flags add", "flags:add", _FLAGS_USAGE, *_FLAGS),
    _mail("flags remove", "flags:remove", _FLAGS_USAGE, *_FLAGS),
    _mail("flags replace", "flags:replace", _FLAGS_USAGE, *_FLAGS),
    _mail(
        "force-resync", "upkeep:force_resync", "[-f] <mailbox mask>",
        flag("f", "fsck"), word("mailbox-mask"),
    ),
    _mail(
        "import", "importing",
        "[-U source-user] [-s] <source mail location> <dest parent mailbox> <search query>",
        text("U", "source-user"), flag("s", "subscribe"),
        word("source-location"), word("dest-parent-mailbox"), _QUERY,
    ),
    _mail(
        "index", "upkeep:index", "[-q] [-n <max recent>] <mailbox mask>",
        flag("q", "queue"), text("n", "max-recent"), word("mailbox-mask"),
    ),
    _mail(
        "mailbox create", "mailbox:create", "[-s] [-g <guid>] <mailbox> [...]",
        _SUBSCRIPTIONS, text("g", "guid"), _BOXES,
    ),
    _mail(
        "mailbox delete", "mailbox:delete", "[-e] [-r] [-s] [-Z] <mailbox> [...]",
        flag("e", "require-empty"), flag("r", "recursive"), _SUBSCRIPTIONS, flag("Z", "unsafe"), _BOXES,
    ),
    _mail(
        "mailbox list", "mailbox:list_", "[-7|-8] [-s] [<mailbox mask> [...]]",
        flag("7", "mutf7"), flag("8", "no-mutf7"), _SUBSCRIPTIONS, words("mailbox-mask"),
    ),
    _mail("mailbox path", "mailbox:path", "[-t <type>] <mailbox>", text("t", "type"), word("mailbox")),
    _mail(
        "mailbox rename", "mailbox:rename", "[-s] <old name> <new name>",
        _SUBSCRIPTIONS, word("mailbox"), word("new-name"),
    ),
    _mail(
        "mailbox status", "status", "<fields> <mailbox> [...]",
        flag("t", "total-sum"), many("f", "field"), word("fieldstr"), words("mailbox-mask"),
    ),
    _mail("mailbox subscribe", "mailbox:subscribe", "<mailbox> [...]", _BOXES),
    _mail("mailbox unsubscribe", "mailbox:unsubscribe", "<mailbox> [...]", _BOXES),
    _mail(
        "mailbox update", "mailbox:update",
        "[--mailbox-guid guid] [--uid-validity uid] [--min-next-uid uid] [--min-first-recent-uid uid]"
        " [--min-highest-modseq seq] [--min-highest-pvt-modseq seq] <mailbox>",
        text("g", "mailbox-guid"), text("V", "uid-validity"), text("N", "min-next-uid"),
        text("R", "min-first-recent-uid"), text("H", "min-highest-modseq"),
        text("P", "min-highest-pvt-modseq"), word("mailbox"),
    ),
    _mail("move", "copying:move", _TO_USAGE, *_TO),
    _mail("purge", "formats:purge", ""),
    _quota("quota get", "get"),
    _quota("quota recalc", "recalc"),
    _mail("save", "saving", "[-m mailbox]", text("m", "mailbox"), file("", "file")._replace(word=True)),
    _mail("search", "searching", "<search query>", _QUERY),
)  # fmt: skip
