"""Runs inside the root that check.sh makes: the package, glibc 2.17, and nothing else.

Ends with status 1 if any of it does not work there: the interpreter, a module, the configuration as
shipped, a login, a delivery.
"""

import ast
import contextlib
import ctypes
import errno
import imaplib
import importlib
import os
import pkgutil
import poplib
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ETC: Final = Path("/etc/dovecot")
MESSAGE: Final = b"From: joe@example.org\r\nSubject: %s\r\n\r\nHello.\r\n"
PLATFORM_MODULES: Final = ("os", "socket", "select", "signal", "resource", "fcntl", "mmap", "ssl", "time")
# base/memory_file.py does without; tests/unit/test_old_systems.py has the same list.
HANDLED: Final = frozenset({"os.memfd_create", "os.MFD_CLOEXEC"})
UNAME26: Final = 0x20000
PR_SET_SECCOMP: Final = 22
SECCOMP_MODE_FILTER: Final = 2
FIRST_NEW_CALL: Final = 314  # x86_64: 313 is finit_module, the last of Linux 3.10
SUBJECTS: Final = (b"by dovecot-lda", b"by LMTP")


def main() -> None:
    """Each step says what it has seen."""
    libc = ctypes.CDLL(None)
    libc.gnu_get_libc_version.restype = ctypes.c_char_p
    version = libc.gnu_get_libc_version().decode()
    assert version == "2.17", version
    print(f"glibc {version}, Python {sys.version.split()[0]}, {ssl.OPENSSL_VERSION}")
    print(f"{import_all()} modules imported, among them those of all roles: {' '.join(roles())}")
    check_platform()
    old_kernel()
    configure()
    with server():
        deliver()
        read()
        administer()
    print("a login by TLS and a delivery: done")


def old_kernel() -> None:
    """From here on, and in all children, calls that Linux 3.10 lacks are not there: ENOSYS, by seccomp.

    Libraries look at the number of the kernel too: it is below 3.
    """
    rules = struct.pack(
        "HBBIHBBIHBBIHBBI",
        *(0x20, 0, 0, 0),  # load the number of the call
        *(0x35, 0, 1, FIRST_NEW_CALL),  # lower: skip one
        *(0x06, 0, 0, 0x00050000 | errno.ENOSYS),  # fail
        *(0x06, 0, 0, 0x7FFF0000),  # allow
    )
    code = ctypes.create_string_buffer(rules, len(rules))
    program = struct.pack("HxxxxxxQ", len(rules) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.personality(UNAME26)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
        raise SystemExit("no seccomp here")
    getrandom = libc.syscall(318, None, 0, 0)
    assert (getrandom, ctypes.get_errno()) == (-1, errno.ENOSYS)
    assert os.uname().release.startswith("2.6.")


def import_all() -> int:
    """Every module of the project."""
    import pydovecot

    names = [module.name for module in pkgutil.walk_packages(pydovecot.__path__, "pydovecot.")]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    return len(names)


def roles() -> list[str]:
    """What the master can fork."""
    from pydovecot.cli.roles import ROLES

    return sorted(ROLES)


def check_platform() -> None:
    """Each `os.something` in the code is there: the C library decides what those modules have."""
    import pydovecot

    missing = set()
    for file in Path(pydovecot.__path__[0]).rglob("*.py"):
        tree = ast.parse(file.read_bytes())
        nodes = list(ast.walk(tree))
        imported = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
        for node in nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                name = node.value.id
                if name in imported.intersection(PLATFORM_MODULES) and not hasattr(
                    importlib.import_module(name), node.attr
                ):
                    missing.add(f"{name}.{node.attr}")
    assert missing <= HANDLED, missing - HANDLED
    print(f"not there, and done without: {' '.join(sorted(missing)) or 'nothing'}")


def configure() -> None:
    """As docs/install.md says: users in a file, mail in Maildirs."""
    auth = ETC / "conf.d/10-auth.conf"
    text = auth.read_text().replace("!include auth-system.conf.ext", "!include auth-passwdfile.conf.ext")
    auth.write_text(text)
    (ETC / "users").write_text("mary:{SHA512-CRYPT}" + crypted("wonder") + ":1000:1000::/home/mary\n")
    (ETC / "local.conf").write_text(
        "mail_location = maildir:~/Maildir\nlog_path = /var/log/dovecot.log\nhostname = mail.example.org\n"
        "auth_mechanisms = plain apop\n"
    )
    plain = subprocess.run(["/usr/bin/doveconf", "-n"], capture_output=True, text=True, check=True).stdout
    assert "mail_location = maildir:~/Maildir" in plain, plain


def crypted(password: str) -> str:
    """By the bundled libraries."""
    from passlib.hash import sha512_crypt

    return str(sha512_crypt.using(rounds=5000).hash(password))


@contextlib.contextmanager
def server() -> Iterator[None]:
    """The server with the ports of its shipped configuration."""
    master = subprocess.Popen(["/usr/sbin/pydovecot", "-F"])
    try:
        for port in (143, 993, 110, 995):
            connect(master, port)
        yield
        assert master.poll() is None, "the server has ended"
    except BaseException:
        print(Path("/var/log/dovecot.log").read_text())
        raise
    finally:
        master.terminate()
        master.wait(60)


def connect(master: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(600):
        assert master.poll() is None, "the server did not start"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nobody listens on port {port}")


def deliver() -> None:
    """One message by the command, one over the socket."""
    command = ["/usr/libexec/dovecot/deliver", "-d", "mary"]
    subprocess.run(command, input=MESSAGE % SUBJECTS[0], check=True)
    lmtp = smtplib.LMTP("/run/dovecot/lmtp")
    refused = lmtp.sendmail("joe@example.org", ["mary"], MESSAGE % SUBJECTS[1])
    assert not refused, refused
    lmtp.quit()


def read() -> None:
    """Both messages by IMAP over TLS and by STARTTLS in POP3; the certificate is mkcert.sh's."""
    context = ssl.create_default_context(cafile="/etc/pki/dovecot/certs/dovecot.pem")
    context.check_hostname = False
    imap = imaplib.IMAP4_SSL("127.0.0.1", ssl_context=context)
    imap.login("mary", "wonder")
    assert imap.select() == ("OK", [b"2"])
    _, found = imap.fetch("1:2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    assert all(any(subject in part[1] for part in found if isinstance(part, tuple)) for subject in SUBJECTS)
    imap.logout()
    pop = poplib.POP3("127.0.0.1")
    assert pop.welcome.endswith(b">"), pop.welcome  # APOP: random numbers in the chroot
    pop.stls(context)
    pop.user("mary")
    pop.pass_("wonder")
    assert pop.stat()[0] == 2
    pop.quit()


def administer() -> None:
    """A command that opens the mail itself, and one that asks the server."""
    words = ["/usr/bin/doveadm", "mailbox", "status", "-u", "mary", "messages", "INBOX"]
    status = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "messages=2" in status, status
    words = ["/usr/bin/doveadm", "user", "mary"]
    user = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "/home/mary" in user, user


if __name__ == "__main__":
    os.umask(0o022)
    main()
