"""What CAPABILITY says after login. One row a word, in Dovecot's order: a word stands here once it works."""

from typing import Final

from pydovecot.login.settings import ImapLoginSettings

# What Dovecot 2.3 lacks
OWN: Final = (
    "IMAP4rev2",  # RFC 9051, after ENABLE
    "OBJECTID",  # RFC 8474
    "REPLACE",  # RFC 8508
)
CAPABILITIES: Final[tuple[str, ...]] = (
    "IMAP4rev1",  # RFC 3501
    "SASL-IR",  # RFC 4959, in the login process
    "LOGIN-REFERRALS",  # RFC 2221, in the login process
    "ID",  # RFC 2971
    "ENABLE",  # RFC 5161
    "IDLE",  # RFC 2177
    "SORT",  # RFC 5256
    "SORT=DISPLAY",  # RFC 5957
    "THREAD=REFERENCES",  # RFC 5256
    "THREAD=REFS",  # draft-ietf-morg-inthread
    "THREAD=ORDEREDSUBJECT",  # RFC 5256
    "MULTIAPPEND",  # RFC 3502
    "UNSELECT",  # RFC 3691
    "CHILDREN",  # RFC 3348
    "NAMESPACE",  # RFC 2342
    "UIDPLUS",  # RFC 4315
    "LIST-EXTENDED",  # RFC 5258
    "I18NLEVEL=1",  # RFC 5255
    "CONDSTORE",  # RFC 7162
    "QRESYNC",  # RFC 7162
    "ESEARCH",  # RFC 4731
    "ESORT",  # RFC 5267
    "SEARCHRES",  # RFC 5182
    "WITHIN",  # RFC 5032
    "LIST-STATUS",  # RFC 5819
    "BINARY",  # RFC 3516
    "MOVE",  # RFC 6851
    "SNIPPET=FUZZY",  # Dovecot
    "PREVIEW=FUZZY",  # RFC 8970 before it was one
    "PREVIEW",  # RFC 8970
    "STATUS=SIZE",  # RFC 8438
    "SAVEDATE",  # RFC 8514
    "LITERAL+",  # RFC 7888
    "SPECIAL-USE",  # RFC 6154
    *OWN,
)


def capabilities(settings: ImapLoginSettings, *, special_use: bool) -> bytes:
    """The words after login. imap_capability replaces them; after a `+` it adds some, before LITERAL+.

    `special_use`: some mailbox has such an attribute in dovecot.conf, as in Dovecot.
    """
    configured = settings.imap_capability
    if configured and not configured.startswith("+"):
        return configured.encode()
    words = [word for word in CAPABILITIES if special_use or word != "SPECIAL-USE"]
    place = words.index("LITERAL+")
    literal = "LITERAL-" if settings.imap_literal_minus else "LITERAL+"
    words[place : place + 1] = [*configured[1:].split(), literal]
    return " ".join(words).encode()
