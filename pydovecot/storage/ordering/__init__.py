"""SORT and THREAD of a view: what is compared, kept for all messages of a mailbox, and the algorithms."""
