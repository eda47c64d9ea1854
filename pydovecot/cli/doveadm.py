"""doveadm - the administrator's command line. What it does is in admin/terminal.py.

Python takes longer to load a mail store than most commands take to run. So root's short commands are given to
a process of the running server (ipc/doveadm_terminal.py) together with the terminal; without a server, or
with other settings than the server's, they run here. What is imported here is counted.
"""

import os
import sys

from pydovecot.base.options import BadOption, parse
from pydovecot.base.running import base_dir_of
from pydovecot.ipc import doveadm_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS = "Df:hvc:i:o:k"
DEFAULT_CONFIG = "/etc/dovecot/dovecot.conf"
# Commands that are short, and that do not start or end anything.
MAIL = ("copy", "expunge", "fetch", "flags", "mailbox", "move", "quota", "save", "search")
HANDED_OVER = frozenset((*MAIL, "penalty", "user", "who"))
ENVIRONMENT = ("USER", "HOME", "TZ")


def main(argv: "Sequence[str] | None" = None) -> int:
    """Entry of `doveadm` and `pydoveadm`; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    status = _by_server(words)
    if status is not None:
        return status
    if sys.flags.no_site:  # started without the folders of other packages, which the rest needs
        import site

        site.main()
    from pydovecot.admin import terminal

    return terminal.main(words)


def _by_server(words: "list[str]") -> "int | None":
    """The exit status; None: it must be done here, and nothing has happened."""
    if os.geteuid() != 0:
        return None
    config = os.environ.get("CONFIG_FILE", "") or DEFAULT_CONFIG
    try:
        options, rest = parse(words, OPTIONS)
    except BadOption:
        return None
    for letter, value in options:
        if letter in "Dio":
            return None  # other settings than the server's
        if letter == "c":
            config = value
    if not rest or rest[0] not in HANDED_OVER:
        return None
    base_dir = base_dir_of(config)
    if not base_dir:
        return None
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    try:
        environment["CONFIG_FILE"] = os.path.abspath(config)
        return doveadm_terminal.hand_over(f"{base_dir}/doveadm-server", words, os.getcwd(), environment)
    except OSError:
        return None


if __name__ == "__main__":
    raise SystemExit(main())
