"""notify: what mail_log needs beside it in Dovecot."""
