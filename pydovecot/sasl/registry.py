"""The table of SASL mechanisms, in the order in which Dovecot offers them."""

from typing import Final

from pydovecot.sasl import anonymous, apop, cram_md5, digest_md5, external, login, plain, rpop, scram
from pydovecot.sasl.mechanism import Mechanism, Need

MECHANISMS: Final[dict[str, Mechanism]] = {
    mechanism.name: mechanism
    for mechanism in (
        Mechanism("PLAIN", ("plaintext",), Need.VERIFY, plain.run),
        Mechanism("LOGIN", ("plaintext",), Need.VERIFY, login.run),
        Mechanism("CRAM-MD5", ("dictionary", "active"), Need.LOOKUP, cram_md5.run),
        Mechanism("DIGEST-MD5", ("dictionary", "active", "mutual-auth"), Need.LOOKUP, digest_md5.run),
        Mechanism("SCRAM-SHA-1", ("mutual-auth",), Need.LOOKUP, scram.mechanism("SCRAM-SHA-1", "sha1")),
        Mechanism("SCRAM-SHA-256", ("mutual-auth",), Need.LOOKUP, scram.mechanism("SCRAM-SHA-256", "sha256")),
        Mechanism("APOP", ("private", "dictionary", "active"), Need.LOOKUP, apop.run),
        Mechanism("ANONYMOUS", ("anonymous",), Need.NOTHING, anonymous.run),
        Mechanism("EXTERNAL", (), Need.VERIFY, external.run),
    )
}

# Not for auth_mechanisms: the setting pop3_rpop turns it on.
RPOP: Final = Mechanism("RPOP", ("private", "plaintext"), Need.VERIFY, rpop.run)

# What Dovecot 2.2 and 2.3 know besides: a configuration that names them is right, we do not have them yet.
NOT_YET: Final = frozenset(
    {"NTLM", "GSSAPI", "GSS-SPNEGO", "OAUTHBEARER", "XOAUTH2", "OTP", "SKEY", "RPA", "DOVECOT-TOKEN"}
)
