"""Settings that only lmtp reads."""

from pydovecot.settings.declare import Settings, boolean, enum, strlist, strvar, uint


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
    lmtp_user_concurrency_limit = uint("0", doc="Deliveries at once to one user; 0: as many as come.")
    lmtp_rawlog_dir = strvar("", doc="Directory of files that show what is said.", since="2.3.2")
    lmtp_verbose_replies = boolean("no", doc="Tell the MTA the reason of internal errors.", since="2.3.19")
    lmtp_client_workarounds = strlist("", doc="whitespace-before-path, mailbox-for-path.", since="2.3.9")
