"""pop3-login - greets POP3 clients, speaks TLS, authenticates them, hands them to pop3.

Runs as: root until keys and certificates are in memory, then $default_login_user, chroot to base_dir/login.
Talks to: the network; auth (login), pop3 (the mail worker), anvil. Never to mail files or password databases.
If taken over: sees the passwords of clients that log in through this process and the TLS traffic that it
carries; cannot read mail or passwords by itself, and cannot become a user.
"""

from pydovecot.login.process import LoginProtocol
from pydovecot.login.service import login_spec
from pydovecot.runtime.service import run
from pydovecot.services.pop3_login.client import Pop3LoginClient

SPEC = login_spec("pop3-login", LoginProtocol("pop3", Pop3LoginClient))


def main() -> int:
    """The process's life."""
    return run(SPEC)
