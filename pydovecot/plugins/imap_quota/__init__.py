"""GETQUOTA and its relatives in IMAP, for the quota plugin."""
