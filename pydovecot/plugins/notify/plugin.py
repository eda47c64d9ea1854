"""Named in mail_plugins before mail_log, as Dovecot wants it; here a store tells its watcher by itself."""
