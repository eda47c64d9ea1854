"""mail_log: a log line for what happens to messages and mailboxes."""
