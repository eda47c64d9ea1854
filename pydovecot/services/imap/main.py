"""imap - serves one user's mail over IMAP4rev1, after imap-login has found out who it is.

Serves: the UNIX socket login/imap, where imap-login hands over a client with its descriptor.
Runs as: root until the user is known, then that user for good, in the user's home directory.
Talks to: auth-master (who the user is), anvil (one session more), config, log; the user's mail files.
If taken over: can do to the user's mail what the user can, and nothing to anyone else's.
"""

from pydovecot.login.handover import HandoverRequest
from pydovecot.login.mail_session import MailWorker
from pydovecot.login.standalone import serve_standalone
from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.imap.serve import serve


def refusal(request: HandoverRequest, stage: str, text: str) -> bytes:
    """What a client is told whose session cannot begin."""
    tag = request.command_tag
    if stage == "auth":
        return b"%b NO [UNAVAILABLE] %b\r\n" % (tag, text.encode())
    return b"%b OK Logged in, but initialization failed.\r\n* BYE %b\r\n" % (tag, text.encode())


WORKER = MailWorker("imap", run=serve, refusal=refusal)
SPEC = ServiceSpec(
    name="imap",
    family=Family.ONE_CLIENT,
    on_connection=WORKER.on_connection,
    standalone=lambda argv: serve_standalone("imap", serve, argv),
)


def main() -> int:
    """Entry of libexec/imap."""
    return run(SPEC)
