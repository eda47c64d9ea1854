"""The host's name with its domain."""

import os
import socket


def host_domain() -> str:
    """As the resolver knows it; the name alone where it knows none.

    The name is asked for as bytes: a process in a chroot has no codec for international names.
    """
    name = os.uname().nodename
    if "." in name:
        return name
    try:
        found = socket.getaddrinfo(name.encode(), None, flags=socket.AI_CANONNAME)[0][3]
    except OSError:
        return name
    return found if "." in found else name
