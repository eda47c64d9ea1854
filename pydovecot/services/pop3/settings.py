"""Settings of POP3 sessions. Names and defaults are Dovecot's."""

from pydovecot.settings.declare import Settings, boolean, enum, string, strlist


class Pop3Settings(Settings):
    """What the pop3 process reads."""

    pop3_no_flag_updates = boolean(
        "no", doc=r"RETR does not set \Seen, and messages stay recent: fewer writes, but no trace of reading."
    )
    pop3_enable_last = boolean("no", doc="The LAST command of RFC 1460, which was dropped from POP3.")
    pop3_reuse_xuidl = boolean("no", doc="Take the X-UIDL header, if there is one, for the UIDL.")
    pop3_save_uidl = boolean("no", doc="Remember the UIDLs that were sent, so that they never change.")
    pop3_lock_session = boolean("no", doc="One POP3 session of a mailbox at a time; RFC 1939 wants it so.")
    pop3_fast_size_lookups = boolean(
        "no", doc="Sizes as stored when only those are known: quick, but not what RFC 1939 asks."
    )
    pop3_client_workarounds = strlist(
        "", doc="outlook-no-nuls: send NUL as 0x80. oe-ns-eoh: add a missing empty line after the header."
    )
    pop3_logout_format = string(
        "top=%t/%p, retr=%r/%b, del=%d/%m, size=%s",
        doc="Statistics of the last log line: TOPs and their bytes, RETRs and theirs, deleted, all, size; "
        "%i and %o bytes in and out, %u how the UIDLs changed, %{deleted_bytes}.",
    )
    pop3_uidl_format = string(
        "%08Xu%08Xv",
        doc="UIDL of a message: %v UIDVALIDITY, %u UID, %f file name, %g GUID, %m MD5 of headers (mbox).",
    )
    pop3_deleted_flag = string(
        "", doc="Messages with this keyword are not shown, and deleting sets it in place of expunging."
    )
    pop3_delete_type = enum(
        "default",
        "default:expunge:flag",
        doc="What QUIT does with deleted messages: expunge, or set pop3_deleted_flag. "
        "default: flag if pop3_deleted_flag is set.",
    )
    pop3_uidl_duplicates = enum(
        "allow", "allow:rename", doc="Two messages with one UIDL: send it twice, or add -2, -3 ..."
    )
