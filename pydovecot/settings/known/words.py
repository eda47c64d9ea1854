"""Words that may stand in settings that are lists, and names that some settings take."""

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Setting: its words ("x=" and "x:" take a value), and what Dovecot says of another one.
LISTS: Final[dict[str, tuple[frozenset[str], str]]] = {
    "imap_client_workarounds": (
        _words("delay-newmail tb-extra-mailbox-sep tb-lsub-flags"),
        "imap_client_workarounds: Unknown workaround: {word}",
    ),
    "pop3_client_workarounds": (
        _words("outlook-no-nuls oe-ns-eoh"),
        "pop3_client_workarounds: Unknown workaround: {word}",
    ),
    "managesieve_client_workarounds": (
        frozenset(),
        "managesieve_client_workarounds: Unknown workaround: {word}",
    ),
    "lmtp_client_workarounds": (
        _words("whitespace-before-path mailbox-for-path"),
        "lmtp_client_workarounds: Unknown workaround: {word}",
    ),
    "submission_client_workarounds": (
        _words("whitespace-before-path mailbox-for-path implicit-auth-external exotic-backend"),
        "submission_client_workarounds: Unknown workaround: {word}",
    ),
    "imapc_features": (
        _words(
            """rfc822.size guid-forced fetch-headers gmail-migration search zimbra-workarounds no-examine
            proxyauth fetch-msn-workarounds fetch-fix-broken-mails modseq delay-login fetch-bodystructure
            send-id fetch-empty-is-expunged no-msn-updates acl throttle:"""
        ),
        "imapc_features: Unknown feature: {word}",
    ),
    "pop3c_features": (_words("no-pipelining"), "pop3c_features: Unknown feature: {word}"),
    "dsync_features": (_words("empty-header-workaround"), "dsync_features: Unknown feature: {word}"),
    "ssl_options": (
        _words("compression no_compression no_ticket"),
        "ssl_options: unknown flag: '{word}'",
    ),
    "mail_attachment_detection_options": (
        _words("add-flags add-flags-on-save no-flags-on-fetch exclude-inlined content-type="),
        "mail_attachment_detection_options: Unknown option: {word}",
    ),
}

SYSLOG_FACILITIES: Final = _words(
    """auth authpriv cron daemon ftp kern lpr mail news syslog user uucp
    local0 local1 local2 local3 local4 local5 local6 local7"""
)
HASHES: Final = _words("md4 md5 sha1 sha256 sha384 sha512 sha3-256 sha3-512 size")
SPECIAL_USES: Final = frozenset(
    {r"\All", r"\Archive", r"\Drafts", r"\Flagged", r"\Important", r"\Junk", r"\Sent", r"\Trash"}
)
EXPORT_FORMATS: Final = _words("none json tab-text")
EXPORT_TRANSPORTS: Final = _words("drop log http-post file unix")
