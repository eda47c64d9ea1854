"""Where a running server is, told by its configuration file; for programs that count their start-up."""

import os

DEFAULT_BASE_DIR = "/run/dovecot"


def base_dir_of(config: str) -> str:
    """Where the server is that runs with this very file; "" when there is none.

    The file is only looked at for a hint, which the server's own link to its file confirms.
    """
    hint = DEFAULT_BASE_DIR
    try:
        with open(config, "rb") as stream:
            for line in stream:
                if line.lstrip().startswith(b"base_dir"):
                    hint = line.partition(b"=")[2].strip().strip(b"\"'").decode() or hint
        if os.path.samestat(os.stat(f"{hint}/dovecot.conf"), os.stat(config)):
            return hint
    except (OSError, UnicodeDecodeError):
        pass
    return ""
