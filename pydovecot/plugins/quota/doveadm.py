"""doveadm quota get and recalc."""

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import TEMPFAIL
from pydovecot.admin.mail import users
from pydovecot.admin.mail.failures import FAILURES, text_of
from pydovecot.admin.mail.mailboxes import failed
from pydovecot.admin.mail.users import Mail
from pydovecot.plugins.quota.plugin import of_store
from pydovecot.plugins.quota.quota import MESSAGE, STORAGE, Root


class _Get:
    """users.Job."""

    output = "table"

    def start(self, context: Context, _arguments: Arguments) -> None:
        printer = context.printer()
        printer.header("root", "Quota name")
        printer.header("type", "Type")
        printer.header("value", "Value", right=True)
        printer.header("limit", "Limit", right=True)
        printer.header("percent", "%", right=True)

    def run(self, mail: Mail) -> None:
        quota = of_store(mail.store.plugins)
        for root in quota.roots if quota is not None else ():
            try:
                self._root(mail, root)
            except FAILURES as exc:
                failed(mail, "Failed to get quota resource", exc)

    @staticmethod
    def _root(mail: Mail, root: Root) -> None:
        used, limits = root.usage.used(), root.limits("")
        printer = mail.context.printer()
        for name in root.usage.resources:
            if name == STORAGE:
                value, limit = -(-used.octets // 1024), -(-limits.octets // 1024)
                percent = used.octets * 100 // limits.octets if limits.octets else 0
            elif name == MESSAGE:
                value, limit = used.messages, limits.messages
                percent = value * 100 // limit if limit else 0
            else:
                continue
            for shown in (root.settings.name, name, value, limit or "-", percent):
                printer.value(shown)


class _Recalc:
    """users.Job."""

    output = ""

    def start(self, _context: Context, _arguments: Arguments) -> None:
        pass

    def run(self, mail: Mail) -> None:
        quota = of_store(mail.store.plugins)
        for root in quota.roots if quota is not None else ():
            recalc = getattr(root.usage, "recalc", None)
            try:
                if recalc is not None:
                    recalc()
                else:
                    root.usage.used()
            except FAILURES as exc:
                mail.context.log.error(f"Recalculating quota failed: {text_of(exc)}")
                mail.context.fail(TEMPFAIL)


def get(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, _Get())


def recalc(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, _Recalc())
