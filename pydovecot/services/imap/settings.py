"""What only IMAP has in dovecot.conf."""

from pydovecot.settings.declare import Settings, enum, size, string, strlist, time


class ImapSettings(Settings):
    """Settings of the imap service."""

    imap_max_line_length = size("64k", doc="Longest command line, its literals included.")
    # RFC 2683 3.2.1.5 asks for 8000 bytes; real clients send long UID lists unbroken.
    imap_idle_notify_interval = time("2 mins", doc="IDLE: pause between untagged OKs; 0: none.")
    # Shorter than the time after which home routers forget a silent connection.
    imap_client_workarounds = strlist(
        "", doc="Known misbehaviour to bear with: delay-newmail tb-extra-mailbox-sep tb-lsub-flags."
    )
    imap_fetch_failure = enum(
        "disconnect-immediately",
        "disconnect-immediately:disconnect-after:no-after",
        doc="When a message cannot be read: end the session at once or after the FETCH, or answer NO.",
        since="2.2.28",
    )
    imap_logout_format = string(
        "in=%i out=%o deleted=%{deleted} expunged=%{expunged} trashed=%{trashed} "
        "hdr_count=%{fetch_hdr_count} hdr_bytes=%{fetch_hdr_bytes} "
        "body_count=%{fetch_body_count} body_bytes=%{fetch_body_bytes}",
        doc="What the log says of a session at its end.",
    )
    mailbox_idle_check_interval = time("30 secs", doc="IDLE: pause between looks without notification.")
