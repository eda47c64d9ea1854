"""dovecot-lda, also called deliver - puts one message, from standard input, into a user's mailbox.

    dovecot-lda [-d user] [-f sender] [-a address] [-r address] [-m mailbox] [-p file] [-e] [-k]
                [-c config file] [-o setting=value]...

Started by the MTA, as root (it becomes the user of -d) or as the user itself. The exit status is one of
sysexits.h: 0 delivered, 67 no such user, 75 try again later, 77 refused (with -e), 64 wrong usage.

An MTA starts this for each message, and an interpreter that imports a mail store is slow. So a running
server's service `lda` is asked first (ipc/lda.py); lda_here.py does the work where there is none, or where it
may not. What is imported here is counted: nothing but what is needed to ask.
"""

import os
import sys

from pydovecot.base.options import BadOption, parse
from pydovecot.base.running import base_dir_of
from pydovecot.ipc import lda

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS = "a:c:d:ef:km:o:p:r:"
DEFAULT_CONFIG = "/etc/dovecot/dovecot.conf"
NAMES = {"a": "original", "d": "user", "e": "stderr", "f": "sender", "m": "mailbox", "r": "final"}


def main(argv: "Sequence[str] | None" = None) -> int:
    """Entry of libexec/dovecot-lda."""
    words = sys.argv[1:] if argv is None else argv
    done = _by_server(words)
    if done is not None:
        sys.stderr.write(done[1])
        return done[0]
    if sys.flags.no_site:  # started without the folders of other packages, which the rest needs
        import site

        site.main()
    try:
        from pydovecot.cli import lda_here

        return lda_here.main(words)
    except Exception as exc:  # noqa: BLE001 - any other status than this would return the message to its sender
        sys.stderr.write(f"lda: Fatal: {type(exc).__name__}: {exc}\n")
        return lda.TEMPFAIL


def _by_server(words: "Sequence[str]") -> tuple[int, str] | None:
    """Exit status and text for standard error; None: it must be done here, and nothing was read."""
    try:
        options, rest = parse(words, OPTIONS)
    except BadOption:
        return None
    config, path, fields = DEFAULT_CONFIG, "", {}
    for letter, value in options:
        if letter == "o":
            return None  # the server has its own settings
        if letter == "c":
            config = value
        elif letter == "p":
            path = value
        elif letter in NAMES:
            fields[NAMES[letter]] = value
    if rest:
        return None
    if "user" not in fields:
        fields |= {"name": os.environ.get("USER", ""), "home": os.environ.get("HOME", "")}
    base_dir = base_dir_of(config)
    if not base_dir:
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else 0
    except OSError:
        return None
    return lda.hand_over(f"{base_dir}/lda", fields, fd)


if __name__ == "__main__":
    raise SystemExit(main())
