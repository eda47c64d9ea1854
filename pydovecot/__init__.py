"""pydovecot: a mail server that takes Dovecot's place."""

from typing import Final

__version__: Final = "0.1.0"
