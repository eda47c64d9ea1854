"""Settings of deliveries, whoever makes them. Dovecot: lda settings."""

from pydovecot.settings.declare import Settings, boolean, path, string, strvar


class DeliverySettings(Settings):
    """How a message gets into a mailbox, and what is said of it."""

    deliver_log_format = strvar("msgid=%m: %$", doc="What is logged of each delivery; %$ is what happened.")
    recipient_delimiter = string("+", doc="What separates a user's name from the detail: alice+lists.")
    lda_mailbox_autocreate = boolean("no", doc="Make the mailbox of a delivery when it is missing.")
    lda_mailbox_autosubscribe = boolean("no", doc="Subscribe to a mailbox that a delivery made.")
    lda_original_recipient_header = string("", doc="Header field that has the original recipient.")
    quota_full_tempfail = boolean("no", doc="A full mailbox is a temporary failure; the MTA tries again.")
    postmaster_address = strvar(
        "postmaster@%{if;%d;ne;;%d;%{hostname}}", doc="Whose name rejections are sent in."
    )
    rejection_subject = string("Rejected: %s", doc="Subject of rejections; %s: the message's.")
    rejection_reason = string(
        "Your message to <%t> was automatically rejected:%n%r", doc="Text of rejections; %n ends a line."
    )
    sendmail_path = path("/usr/sbin/sendmail", doc="Program that sends rejections.")
    submission_host = string("", doc="host[:port] of an SMTP server that sends them instead.")
    mail_temp_dir = string("/tmp", doc="Where large messages wait while they arrive.")
