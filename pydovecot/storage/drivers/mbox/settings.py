"""Settings of the mbox driver."""

from pydovecot.settings.declare import Settings, boolean, enum, size, string, time


class MboxSettings(Settings):
    """Names as in Dovecot."""

    mbox_read_locks = string(
        "fcntl", doc="Locks for reading, in this order: dotlock dotlock_try fcntl flock lockf."
    )
    mbox_write_locks = string(
        "fcntl dotlock", doc="Locks for writing; those for reading in their order, and more."
    )
    mbox_lock_timeout = time("5 mins", doc="Longest wait for all locks of a file.")
    mbox_dotlock_change_timeout = time(
        "2 mins", doc="A lock file that has not changed for so long was left over."
    )
    mbox_min_index_size = size("0", doc="Mailboxes that are smaller have no index on disk.")
    mbox_dirty_syncs = boolean(
        True, doc="Of a file that has grown only what is new is read, until a mailbox is opened or checked."
    )
    mbox_very_dirty_syncs = boolean(
        False, doc="All of a file is read only when it is not as expected, even when it is opened."
    )
    mbox_lazy_writes = boolean(
        True, doc="Flags are written to the file when the mailbox is closed or checked, not at once."
    )
    pop3_uidl_format = string(
        "%08Xu%08Xv",
        doc="UIDL of a message: %v UIDVALIDITY, %u UID, %f file name, %g GUID, %m MD5 of headers (mbox).",
    )
    mbox_md5 = enum("apop3d", "apop3d:all", doc="Which fields make the header MD5: a few, or all.")
