"""lmtp - takes mail from Postfix, Sendmail or Exim over LMTP and delivers it to its recipients' mailboxes.

Serves: the UNIX socket lmtp, and inet_listeners where they are configured (with STARTTLS).
Runs as: root, because recipients are different users; for each delivery it is that user, as far as the kernel
    looks at files (effective uid, gid and groups), and root again after it. With `user = vmail` in
    `service lmtp { }`, or started by an ordinary user, it is that user all the time.
Talks to: auth-userdb (who a recipient is), config, log; mail files of the recipients.
If taken over: can do what root can, where it runs as root. What comes from outside is parsed as that, so the
    parser is small and takes bounded input; sites with one mail user should run it as that user.
"""

from pydovecot.login.process import prepare_tls
from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.lmtp.serve import on_connection

SPEC = ServiceSpec(
    name="lmtp",
    family=Family.ONE_CLIENT,
    before_fork=prepare_tls,
    on_connection=on_connection,
    starts_programs=True,
)


def main() -> int:
    """Entry of libexec/lmtp."""
    return run(SPEC)
