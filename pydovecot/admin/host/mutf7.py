"""doveadm mailbox mutf7: mailbox names between UTF-8 and IMAP's modified UTF-7."""

import getopt

from pydovecot.admin.arguments import Arguments, BadArguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import DATA, OK, Usage
from pydovecot.base import mutf7


def run(context: Context, arguments: Arguments) -> int:
    """-8 (the default): encode UTF-8. -7: decode mUTF-7. A name that cannot be is told."""
    decode, status = False, OK
    try:
        options, names = getopt.getopt(arguments.raw, "78")
    except getopt.GetoptError as exc:
        raise BadArguments(f"mutf7: invalid option -- '{exc.opt}'") from None
    for option, _value in options:
        decode = option == "-7"
    if not names:
        raise Usage
    for name in names:
        try:
            context.print(mutf7.decode(name.encode()) if decode else mutf7.encode(name).decode())
        except ValueError:
            kind = "mUTF-7" if decode else "UTF-8"
            context.log.error(f"Mailbox name not valid {kind}: {name}")
            status = DATA
    return status
