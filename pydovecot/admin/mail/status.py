"""doveadm mailbox status."""

from collections.abc import Sequence
from contextlib import closing
from typing import Final

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import USAGE, AdminError, Usage
from pydovecot.admin.mail import users
from pydovecot.admin.mail.failures import FAILURES
from pydovecot.admin.mail.mailboxes import failed, find, mask_key
from pydovecot.admin.mail.users import Mail
from pydovecot.model.search import Key
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, Status

# In the order of the columns, whatever order they are asked for in.
FIELDS: Final = (
    "messages", "recent", "uidnext", "uidvalidity", "unseen", "highestmodseq", "vsize", "guid", "firstsaved",
)  # fmt: skip
TOTALS: Final = ("messages", "recent", "unseen", "vsize")


class MailboxStatus:
    """users.Job. `total`: the sums of all mailboxes in one line (-t)."""

    output = "flow"
    key: Key

    def __init__(self, *, total: bool) -> None:
        self._total = total
        self._fields: Sequence[str] = ()

    def start(self, context: Context, arguments: Arguments) -> None:
        names, masks = arguments.many("field"), arguments.many("mailbox-mask")
        if names and arguments.given("fieldstr"):
            masks = [arguments.text("fieldstr"), *masks]  # fields by -f: the first word is a mailbox
        if not masks:
            raise Usage
        self._fields = self._parse(names or arguments.text("fieldstr").split())
        self.key = mask_key(masks)
        printer = context.printer()
        if not self._total:
            printer.header("mailbox", hide=True)
        for field in self._fields:
            printer.header(field)

    def _parse(self, names: Sequence[str]) -> list[str]:
        if not names:
            raise AdminError("No status fields", USAGE)
        wanted: set[str] = set()
        possible = TOTALS if self._total else FIELDS
        for name in names:
            if name == "all":
                wanted.update(possible)
            elif name not in FIELDS:
                raise AdminError(f"Unknown status field: {name}", USAGE)
            elif name not in possible:
                raise AdminError(f"Status field {name} can't be used with -t", USAGE)
            else:
                wanted.add(name)
        return [field for field in FIELDS if field in wanted]

    def run(self, mail: Mail) -> None:
        printer = mail.context.printer()
        sums = dict.fromkeys(self._fields, 0)
        for name, _ in find(mail, self.key):
            try:
                values = self._values(mail, name)
            except FAILURES as exc:
                failed(mail, f"Mailbox {name}: Failed to lookup mailbox status", exc)
                continue
            if self._total:
                for field, value in values.items():
                    sums[field] += int(value)
                continue
            printer.value(name)
            for value in values.values():
                printer.value(value)
        if self._total:
            for number in sums.values():
                printer.value(number)

    def _values(self, mail: Mail, name: str) -> dict[str, str | int]:
        status = mail.store.status(name, size="vsize" in self._fields)
        known = _known(status)
        if "firstsaved" in self._fields:
            known["firstsaved"] = _first_saved(mail, name) if status.messages else "never"
        return {field: known[field] for field in self._fields}


def _known(status: Status) -> dict[str, str | int]:
    return {
        "messages": status.messages,
        "recent": status.recent,
        "uidnext": status.uidnext,
        "uidvalidity": status.uidvalidity,
        "unseen": status.unseen,
        "highestmodseq": status.highest_modseq,
        "vsize": status.size,
        "guid": status.guid,
    }


def _first_saved(mail: Mail, name: str) -> str | int:
    """When the first message was saved."""
    with closing(mail.store.open(name, readonly=True, keep_recent=True)) as view:
        if not view.uids:
            return "never"
        ((saved,),) = view.rows(SeqSet.of([1]), (Column.SAVED,))
    return int(saved) if isinstance(saved, int) and saved else "never"


def run(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, MailboxStatus(total=arguments.flag("total-sum")))
