"""One file for each IMAP command: Args, a pure `parse`, and a generator `run`."""
