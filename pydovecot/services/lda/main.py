"""lda - does the work of dovecot-lda, so that the program need not load a mail store for one message.

Serves: the UNIX socket lda, which everybody may connect to: dovecot-lda as root delivers to anybody, as
    somebody else only to that user. Who it is, the kernel says.
Runs as: root, because recipients are different users; for each delivery it is that user, as far as the kernel
    looks at files, and root again after it. To send a rejection it becomes the user for good.
Talks to: auth-userdb (who a recipient is), config, log; mail files of the recipients; the descriptor that
    dovecot-lda sends has the message.
If taken over: can do what root can. What comes from outside is a short list of options, and a mail that is
    copied.

It is there without a line in the configuration, and replaced by `service lda { }` if there is one.
"""

from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.lda.serve import on_connection

SPEC = ServiceSpec(name="lda", family=Family.ONE_CLIENT, on_connection=on_connection, starts_programs=True)


def main() -> int:
    """Entry of libexec/lda."""
    return run(SPEC)
