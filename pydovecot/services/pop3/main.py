"""pop3 - serves one user's INBOX over POP3, after pop3-login has found out who it is.

Serves: the UNIX socket login/pop3, where pop3-login hands over a client with its descriptor.
Runs as: root until the user is known, then that user for good, in the user's home directory.
Talks to: auth-master (who the user is), anvil (one session more), config, log; the user's mail files.
If taken over: can do to the user's mail what the user can, and nothing to anyone else's.

`libexec/pop3 [-u user]` serves on stdin and stdout without a master.
"""

from pydovecot.login.handover import HandoverRequest
from pydovecot.login.mail_session import MailWorker
from pydovecot.login.standalone import serve_standalone
from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.pop3.serve import serve


def refusal(_request: HandoverRequest, _stage: str, text: str) -> bytes:
    """What a client is told whose session cannot begin."""
    return f"-ERR [SYS/TEMP] {text}\r\n".encode()


WORKER = MailWorker("pop3", run=serve, refusal=refusal)
SPEC = ServiceSpec(
    name="pop3",
    family=Family.ONE_CLIENT,
    on_connection=WORKER.on_connection,
    standalone=lambda argv: serve_standalone("pop3", serve, argv),
)


def main() -> int:
    """Entry of libexec/pop3."""
    return run(SPEC)
