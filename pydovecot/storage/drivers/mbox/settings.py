"""Settings of the mbox driver."""

from pydovecot.settings.declare import Settings, string, time


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
