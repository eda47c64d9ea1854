"""Settings of the maildir driver."""

from pydovecot.settings.declare import Settings, boolean


class MaildirSettings(Settings):
    """Names as in Dovecot."""

    maildir_broken_filename_sizes = boolean(
        False, doc="Do not believe S= and W= in file names.", since="2.1.16"
    )
    maildir_copy_with_hardlinks = boolean(True, doc="Copy messages by hard links.")
    maildir_very_dirty_syncs = boolean(
        False, doc="Believe for long that changes of ours in cur/ were the only ones.", since="2.0"
    )
