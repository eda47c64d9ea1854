"""quota-status - tells Postfix, while a message is still with its sender, whose mailbox is full.

Serves: the sockets of `service quota-status { executable = quota-status -p postfix }`, where there is one.
Runs as: root, because recipients are different users; it looks at each one's mail as that user.
Talks to: auth-userdb (who a recipient is), config, log; mail files of the recipients, to be counted.
If taken over: can do what root can, where it runs as root; sites with one mail user should run it as that.
"""

from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.quota_status.serve import on_connection

SPEC = ServiceSpec(name="quota-status", family=Family.ONE_CLIENT, on_connection=on_connection)


def main() -> int:
    """Entry of libexec/quota-status."""
    return run(SPEC)
