"""Every setting that Dovecot 2.2.36 or 2.3 knows: name, kind, default.

The rows say what may be written in dovecot.conf; what a setting does is said beside the code that reads it
(`services/imap/settings.py` and so on). `settings.schema` makes lookup tables of both.
"""

from typing import Final

from pydovecot.settings.known import auth_admin, frontend, imap_lmtp, pop3_submission, storage

# In the order of `doveconf -S`.
ROWS: Final[tuple[tuple[str, ...], ...]] = (
    *frontend.ROWS,
    *auth_admin.ROWS,
    *imap_lmtp.ROWS,
    *storage.ROWS,
    *pop3_submission.ROWS,
)

# Known, but without a default: not printed until somebody sets them. By the setting that they follow in -S.
UNSET_AFTER: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "imap_urlauth_logout_format": (
        ("imap_urlauth_submit_user", "string", ""),
        ("imap_urlauth_stream_user", "string", ""),
    ),
    # Our own.
    "pop3_delete_type": (("pop3_rpop", "bool", "no"), ("pop3_rpop_reserved_port", "bool", "no")),
    "submission_client_workarounds": (("submission_backend_capabilities", "string", ""),),
}

# Known and not printed by doveconf -a: tuning of the index files that nobody should need.
TUNING_ROWS: Final[tuple[tuple[str, ...], ...]] = (
    ("mail_cache_unaccessed_field_drop", "time", "30 days"),
    ("mail_cache_record_max_size", "size", "64 k"),
    ("mail_cache_max_size", "size", "1 G"),
    ("mail_cache_min_mail_count", "uint", "0"),
    ("mail_cache_purge_min_size", "size", "32 k"),
    ("mail_cache_purge_delete_percentage", "uint", "20"),
    ("mail_cache_purge_continued_percentage", "uint", "200"),
    ("mail_cache_purge_header_continue_count", "uint", "4"),
    ("mail_index_rewrite_min_log_bytes", "size", "8 k"),
    ("mail_index_rewrite_max_log_bytes", "size", "128 k"),
    ("mail_index_log_rotate_min_size", "size", "32 k"),
    ("mail_index_log_rotate_max_size", "size", "1 M"),
    ("mail_index_log_rotate_min_age", "time", "5 mins"),
    ("mail_index_log2_max_age", "time", "2 days"),
)

# Second names of settings: writing them sets the other.
ALIASES: Final[dict[str, str]] = {"mail": "mail_location", "doveadm_proxy_port": "doveadm_port"}

# Dovecot 2.2.36 has these and 2.3 has not. Ours takes them as written; they do nothing.
ROWS_22: Final[tuple[tuple[str, ...], ...]] = (
    ("director_doveadm_port", "port", "0"),
    ("lmtp_address_translate", "string", ""),
    ("stats_carbon_interval", "time", "30 secs"),
    ("stats_carbon_name", "string", ""),
    ("stats_carbon_server", "string", ""),
    ("stats_command_min_time", "time", "1 mins"),
    ("stats_domain_min_time", "time", "12 hours"),
    ("stats_ip_min_time", "time", "12 hours"),
    ("stats_memory_limit", "size", "16 M"),
    ("stats_session_min_time", "time", "15 mins"),
    ("stats_user_min_time", "time", "1 hours"),
)

# Where 2.2.36 has another default than 2.3 (for the reference; the defaults in force are 2.3's).
DEFAULTS_22: Final[dict[str, str]] = {
    "imap_logout_format": "in=%i out=%o",
    "imap_max_line_length": "64 k",
    "mail_log_prefix": "%s(%u): ",
    "mailbox_list_index": "no",
    "mdbox_rotate_size": "2 M",
    "postmaster_address": "",
    "ssl_cipher_list": "ALL:!LOW:!SSLv2:!EXP:!aNULL",
    "ssl_min_protocol": "",
}

# Values that doveconf hides unless -P is given.
HIDDEN: Final[frozenset[str]] = frozenset(
    {
        "auth_policy_hash_nonce",
        "doveadm_api_key",
        "doveadm_password",
        "imapc_password",
        "pop3c_password",
        "ssl_alt_key",
        "ssl_client_key",
        "ssl_dh",
        "ssl_key",
        "ssl_key_password",
        "submission_relay_password",
    }
)
