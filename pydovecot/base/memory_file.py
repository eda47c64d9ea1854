"""Files without a name, for what needs a descriptor and not a place: memfd_create(2), or what comes near it.

RHEL 7's C library (2.17) has no memfd_create, so a Python built on it lacks the function; the kernel may lack
the call.
"""

import errno
import os
import tempfile


def memory_file(name: str) -> int:
    """A new empty file, read and written, gone with its last descriptor; `name` shows in /proc only.

    Where the system cannot do it, the file is made in /dev/shm, or else where temporary files belong, and
    removed at once.
    """
    try:
        return os.memfd_create(name, os.MFD_CLOEXEC)
    except AttributeError:
        pass
    except OSError as exc:
        if exc.errno != errno.ENOSYS:
            raise
    try:
        fd, path = tempfile.mkstemp(prefix=f"{name}.", dir="/dev/shm")
    except OSError:
        fd, path = tempfile.mkstemp(prefix=f"{name}.")
    os.unlink(path)
    return fd
