"""Settings that only lmtp reads."""

from pydovecot.settings.declare import Settings, boolean, enum, strlist


class LmtpSettings(Settings):
    """protocol lmtp { }."""

    lmtp_save_to_detail_mailbox = boolean(
        "no", doc="Deliver to the mailbox that the address names: alice+lists goes into lists."
    )
    lmtp_add_received_header = boolean("yes", doc="Add a Received field.", since="2.3.9")
    lmtp_hdr_delivery_address = enum(
        "final", "final:none:original", doc="Which address Delivered-To has.", since="2.2.30"
    )
    lmtp_rcpt_check_quota = boolean("no", doc="Refuse recipients whose mailbox is full before the data.")
    lmtp_verbose_replies = boolean("no", doc="Tell the MTA the reason of internal errors.", since="2.3.19")
    lmtp_client_workarounds = strlist("", doc="whitespace-before-path, mailbox-for-path.", since="2.3.9")
