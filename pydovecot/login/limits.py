"""Limits before the login: what a client that nobody knows yet may make us keep. The values are Dovecot's."""

from typing import Final

MAX_TOKEN_BYTES: Final = 1026  # Dovecot: LOGIN_MAX_INBUF_SIZE; a line or an argument before login
MAX_AUTH_LINE_BYTES: Final = 8192  # Dovecot: LOGIN_MAX_AUTH_BUF_SIZE; tickets and tokens are long
MAX_BAD_COMMANDS: Final = 3  # Dovecot: CLIENT_MAX_BAD_COMMANDS
LOGIN_TIMEOUT_SECS: Final = 180  # Dovecot: CLIENT_LOGIN_TIMEOUT_MSECS
MAX_NAME_IN_AUTH: Final = 255  # bytes of a local_name; a longer one is no DNS name
