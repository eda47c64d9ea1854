"""doveadm fetch: fields of the messages that a query finds."""

import time
from collections.abc import Sequence
from typing import Final, cast

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import Usage
from pydovecot.admin.mail import fields, query, users
from pydovecot.admin.mail.failures import FAILURES, status_of, text_of
from pydovecot.admin.mail.mailboxes import each, failed
from pydovecot.admin.mail.users import Mail, check_interrupted
from pydovecot.model.search import Key
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, ExpungedError, View

ROWS_AT_ONCE: Final = 200  # so many are read from the index together


class Fetch:
    """users.Job."""

    output = "pager"
    key: Key

    def start(self, context: Context, arguments: Arguments) -> None:
        names = arguments.many("field") or arguments.text("fieldstr").split(" ")
        words = arguments.many("query")
        if not words:
            raise Usage
        printer = context.printer()
        try:
            self.fields = fields.parse([name for name in names if name])
        except fields.UnknownField:
            context.log.plain(fields.AVAILABLE)
            raise
        for one in self.fields:
            printer.header(one.name)
        wanted = {column for one in self.fields for column in one.columns}
        self.columns = tuple(sorted(wanted, key=lambda column: column.value))
        self.key = query.parse(words, time.time())

    def run(self, mail: Mail) -> None:
        if not self.fields:
            return
        for view, found in each(mail, self.key):
            for start in range(0, len(found), ROWS_AT_ONCE):
                check_interrupted()
                self._batch(mail, view, found[start : start + ROWS_AT_ONCE])

    def _batch(self, mail: Mail, view: View, found: Sequence[int]) -> None:
        if not self.columns:
            for seq in found:
                self._one(mail, fields.One(mail.name, view, seq))
            return
        rows = view.rows(SeqSet.of(found), (Column.SEQ, *self.columns))
        try:
            for row in rows:
                values = dict(zip(self.columns, row[1:], strict=True))
                self._one(mail, fields.One(mail.name, view, cast("int", row[0]), values))
        except ExpungedError:
            pass  # deleted by another session meanwhile; raised behind the last row
        except FAILURES as exc:
            failed(mail, f"Searching mailbox {view.name} failed", exc)

    def _one(self, mail: Mail, one: fields.One) -> None:
        printer = mail.context.printer()
        try:
            for field in self.fields:
                try:
                    value = field.make(one)
                except (*FAILURES, ExpungedError) as exc:
                    self._failed(mail, one, field.name, exc)
                    value = ""
                if field.streamed:
                    assert isinstance(value, bytes | str)
                    printer.stream(value if isinstance(value, bytes) else value.encode())
                    printer.end_stream()
                else:
                    printer.value(value)
        finally:
            one.close()

    def _failed(self, mail: Mail, one: fields.One, name: str, exc: Exception) -> None:
        text = "Message was expunged" if isinstance(exc, ExpungedError) else text_of(exc)
        uid = one.view.uids[one.seq - 1]
        mail.context.log.error(f"fetch({name}) failed for box={one.view.name} uid={uid}: {text}")
        mail.context.fail(status_of(exc))


def run(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, Fetch())

