"""All roles of the server: what `executable =` may name. The master imports them once and forks them."""

from typing import Final

import pydovecot.plugins.imap_quota.plugin
import pydovecot.plugins.quota.plugin  # noqa: F401 - hosts find them by name (storage.plugins)
from pydovecot.runtime.spec import ServiceSpec
from pydovecot.services.anvil.main import SPEC as ANVIL
from pydovecot.services.auth.main import SPEC as AUTH
from pydovecot.services.auth_worker.main import SPEC as AUTH_WORKER
from pydovecot.services.config.main import SPEC as CONFIG
from pydovecot.services.doveadm_server.main import SPEC as DOVEADM_SERVER
from pydovecot.services.imap.main import SPEC as IMAP
from pydovecot.services.imap_login.main import SPEC as IMAP_LOGIN
from pydovecot.services.lda.main import SPEC as LDA
from pydovecot.services.lmtp.main import SPEC as LMTP
from pydovecot.services.log.main import SPEC as LOG
from pydovecot.services.pop3.main import SPEC as POP3
from pydovecot.services.pop3_login.main import SPEC as POP3_LOGIN
from pydovecot.services.quota_status.main import SPEC as QUOTA_STATUS
from pydovecot.services.script.main import SPEC as SCRIPT

ROLES: Final[dict[str, ServiceSpec]] = {
    "anvil": ANVIL,
    "auth": AUTH,
    "auth-worker": AUTH_WORKER,  # `executable = auth -w`
    "config": CONFIG,
    "doveadm-server": DOVEADM_SERVER,
    "imap": IMAP,
    "imap-login": IMAP_LOGIN,
    "lda": LDA,
    "lmtp": LMTP,
    "log": LOG,
    "pop3": POP3,
    "pop3-login": POP3_LOGIN,
    "quota-status": QUOTA_STATUS,
    "script": SCRIPT,
}
