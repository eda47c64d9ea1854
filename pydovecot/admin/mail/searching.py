"""doveadm search: mailbox GUIDs and UIDs of the messages that a query finds."""

import time

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import Usage
from pydovecot.admin.mail import query, users
from pydovecot.admin.mail.mailboxes import each
from pydovecot.admin.mail.users import Mail
from pydovecot.model.search import Key


class Search:
    """users.Job."""

    output = "flow"
    key: Key

    def start(self, context: Context, arguments: Arguments) -> None:
        words = arguments.many("query")
        if not words:
            raise Usage
        printer = context.printer()
        printer.header("mailbox-guid", hide=True)
        printer.header("uid", hide=True)
        self.key = query.parse(words, time.time())

    def run(self, mail: Mail) -> None:
        printer = mail.context.printer()
        for view, found in each(mail, self.key, missing="Couldn't get mailbox '%s' GUID"):
            guid, uids = view.guid, view.uids
            for seq in found:
                printer.value(guid)
                printer.value(uids[seq - 1])


def run(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, Search())
