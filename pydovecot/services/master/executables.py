"""What `executable =` means: a role of ours, or a program of the administrator."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydovecot.runtime.spec import ServiceSpec

# Where distributions keep Dovecot's own binaries: a configuration that names them means our roles.
DOVECOT_DIRS: Final = ("/usr/lib/dovecot", "/usr/libexec/dovecot", "/usr/local/libexec/dovecot")


@dataclass(frozen=True, slots=True)
class Program:
    """A role (`spec`) with the words after its name, or the words of a program to exec."""

    spec: ServiceSpec | None
    words: tuple[str, ...]
    argv: tuple[str, ...]


def find_program(executable: str, libexec_dir: str, roles: Mapping[str, ServiceSpec]) -> Program | None:
    """None: neither a role of this version nor an absolute path outside of the libexec directory.

    Dovecot's binaries are never exec'ed, even where they are installed: they would speak to a strange master.
    """
    words = tuple(shlex.split(executable))
    if not words:
        return None
    folder, name = os.path.split(words[0])
    if folder in ("", libexec_dir.rstrip("/"), *DOVECOT_DIRS):
        if name == "auth" and "-w" in words[1:]:
            name = "auth-worker"
        spec = roles.get(name)
        return None if spec is None else Program(spec, words, words[1:])
    if not words[0].startswith("/"):
        return None
    return Program(None, words, words[1:])
