"""A host with virtual users: our server and a Postfix in front of it, configured as docs/postfix.md says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.cluster import Cluster
from tests.support.postfix import Postfix
from tests.support.serverconf import NO_PENALTY, ServerDir

USERS = ("alice@example.test", "bob@example.test")
DOVECOT_CONF = """\
protocols = imap pop3 lmtp
auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256
auth_verbose = yes
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {root}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/mail/%u
}}
service auth {{
  unix_listener {root}/postfix-auth {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
service lmtp {{
  unix_listener {root}/postfix-lmtp {{
    mode = 0600
    user = postfix
    group = postfix
  }}
}}
"""
MAIN_CF = """\
virtual_mailbox_domains = example.test
virtual_transport = lmtp:unix:{root}/postfix-lmtp
smtpd_sasl_type = dovecot
smtpd_sasl_path = {root}/postfix-auth
smtpd_sasl_auth_enable = yes
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
"""


@dataclass
class VirtualHost:
    """Both servers, running."""

    server: Cluster
    postfix: Postfix


@contextmanager
def virtual_host(more_conf: str = "", more_main_cf: str = "") -> Iterator[VirtualHost]:
    """Started, and stopped at the end. `{root}` in what is added: the directory of our server."""
    place = ServerDir.make()
    (place.root / "users").write_text("".join(f"{user}:wonder\n" for user in USERS))
    (place.root / "users").chmod(0o644)
    ids = {"uid": place.mail_uid, "gid": place.mail_gid}
    conf = (DOVECOT_CONF + more_conf).format(root=place.root, **ids) + NO_PENALTY
    main_cf = (MAIN_CF + more_main_cf).format(root=place.root)
    with Cluster(conf, static_users=False, place=place) as server, Postfix(main_cf) as postfix:
        yield VirtualHost(server, postfix)
