"""Settings of the mail store that every driver shares, and of namespaces and their mailboxes."""

from pydovecot.settings.declare import (
    Settings,
    boolean,
    enum,
    nested,
    string,
    strlist,
    strvar,
    time,
    uint,
)


class MailSettings(Settings):
    """How and where mail is kept."""

    mail_location = strvar("", doc="Driver, path and keys: maildir:~/Maildir; empty: look what is there.")
    mail_plugins = string("", doc="Plugins to load, separated by blanks: quota imap_quota.")
    # "optimized": fsync where an acknowledged message could be lost, not for flags that can be set again.
    mail_fsync = enum("optimized", "optimized:never:always", doc="When files are forced to the disk.")
    mail_save_crlf = boolean(False, doc="Store messages with CRLF line ends.")
    mail_max_keyword_length = uint(50, doc="Longest keyword name.")
    mail_temp_scan_interval = time("1 week", doc="How often leftovers in tmp/ are looked for.", since="2.2")
    # A mail process has it only while it makes a lock file or INBOX there.
    mail_privileged_group = string("", doc="Group for creating locks and spool mailboxes.")
    mail_nfs_storage = boolean(False, doc="Mail is on NFS and served by several hosts.")
    mail_max_lock_timeout = time("0", doc="Longest wait for a lock; 0: each one's own limit.", since="2.2.19")
    mail_attachment_detection_options = string(
        "",
        doc="add-flags: messages get $HasAttachment or $HasNoAttachment; content-type=, exclude-inlined: "
        "which parts count; no-flags-on-fetch: only when saved.",
        since="2.3.3",
    )
    hostname = string("", doc="This host's name in new message files; empty: ask the system.")


class MailboxSettings(Settings):
    """mailbox NAME { } inside a namespace."""

    section = "mailbox"

    name = string("", doc="Name of the mailbox; empty: the section's name.", since="2.2")
    auto = enum("no", "no:create:subscribe", doc="Make (and subscribe) the mailbox when it is missing.")
    special_use = strlist("", doc=r"Special use attributes: \Trash \Sent.")
    autoexpunge = time("0", doc="Messages saved longer ago are removed at logout; 0: never.", since="2.2.20")
    autoexpunge_max_mails = uint(0, doc="Oldest ones above this number are removed.", since="2.2.25")

    @property
    def mailbox_name(self) -> str:
        """The mailbox below the namespace's prefix that this section is about."""
        return self.name or self.section_name


class NamespaceSettings(Settings):
    """namespace [NAME] { }."""

    section = "namespace"

    name = string("", doc="Name of the namespace; empty: the section's name.", since="2.0", hidden=True)
    type = enum("private", "private:shared:public", doc="Whose mail this is.")
    separator = string("", doc="Hierarchy separator that clients see; empty: the layout's own.")
    prefix = strvar("", doc="What names in this namespace begin with.")
    location = strvar("", doc="As mail_location, for this namespace; empty: mail_location.")
    alias_for = string("", doc="Prefix of the namespace that this one shows again.")
    inbox = boolean(False, doc="INBOX is in this namespace.")
    hidden = boolean(False, doc="Leave it out of the NAMESPACE command.")
    list = enum("yes", "yes:no:children", doc="Show its mailboxes in LIST.")
    subscriptions = boolean(True, doc="It has subscriptions of its own; no: the parent namespace keeps them.")
    ignore_on_failure = boolean(False, doc="Do without it when it cannot be opened.")
    disabled = boolean(False, doc="Leave it out altogether.", since="2.2.21")
    order = uint(0, doc="Place in the NAMESPACE command.", since="2.2")
    mailbox = nested(MailboxSettings)
