"""Deliveries into an mbox by Dovecot's dovecot-lda and by us, and its UIDLs by header MD5: the same bytes."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.model.flags import FlagSet
from pydovecot.services.pop3.connection import Pop3Connection
from pydovecot.services.pop3.session import Session
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.support.dovecot_imap import as_ordinary_user, user_directory

LDA = "/usr/lib/dovecot/dovecot-lda"
POP3 = "/usr/lib/dovecot/pop3"
pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(not os.access(LDA, os.X_OK), reason="Dovecot's dovecot-lda is not installed"),
]
CONF = """base_dir = {root}/run
state_dir = {root}/run
log_path = {root}/log
mail_location = mbox:{root}/mail:INBOX={root}/spool
ssl = no
first_valid_uid = 1
mail_fsync = never
postmaster_address = pm@example
{more}
userdb {{
  driver = static
}}
"""
# Argument of -f (None: without), and the envelope's sender that it stands for.
SENDERS = [
    ("joe@example", "joe@example"),
    ("", ""),
    ("<>", ""),
    (None, ""),
    ('"a b"@x', '"a b"@x'),
    ("<joe@x>", "joe@x"),
    ("joe", "joe"),
]
_CHANGING = re.compile(rb"(?m)  [A-Z][a-z]{2} [A-Z][a-z]{2} \d\d [\d:]{8} \d{4}$|^X-IMAPbase: \d+")
LINE = b"From someone@example Tue Nov 24 06:04:15 2026\n"
ODD_HEADERS = (
    b"Subject: a\nReceived: x\n\ty\nMessage-ID: <x@y>\nReceived: 2\nDate: d\nDelivered-To:d\nX-UID: 7\n\nx\n",
    b"Subject: b\n\nx\n",
    b"no colon at all\nTo : x\nX-Keywords: a\n b\n\nbody\n",
    b"Subject: =\n folded \n\tmore\nDELIVERED-TO:z\nX-Delivery-ID: 5\n\nbody\n",
)


@pytest.fixture
def roots() -> Iterator[tuple[Path, Path]]:
    places = user_directory(), user_directory()
    yield places
    for path in places:
        shutil.rmtree(path)


def prepared(root: Path, more: str = "") -> dict[str, str]:
    for name in ("run", "mail"):
        (root / name).mkdir()
    (root / "spool").touch()
    (root / "dovecot.conf").write_text(CONF.format(root=root, more=more))
    return {"HOME": str(root), "USER": "nobody", "PATH": "/usr/sbin:/usr/bin:/bin"}


def ours(root: Path, **values: str) -> UserStore:
    location = f"mbox:{root}/mail:INBOX={root}/spool"
    values = {"mail_location": location, "mail_fsync": "never", **values}
    view = MemoryView(values, NamespaceSettings(inbox=True))
    return open_store(StorageUser("nobody", str(root)), view)


def test_from_lines(roots: tuple[Path, Path]) -> None:
    def work() -> None:
        env = prepared(roots[1])
        (roots[0] / "spool").touch()
        store = ours(roots[0])
        for number, (argument, sender) in enumerate(SENDERS):
            message = b"Subject: %d\n\nhello\n" % number
            more = () if argument is None else ("-f", argument)
            done = subprocess.run(
                [LDA, "-c", str(roots[1] / "dovecot.conf"), "-e", *more], input=message, env=env, check=False,
                capture_output=True, timeout=60,
            )  # fmt: skip
            assert done.returncode == 0, done
            save = store.save("INBOX")
            save.begin(FlagSet(), None, sender=sender)
            save.write(message)
            save.finish()
            save.commit()
            mine, theirs = (_CHANGING.sub(b"", (root / "spool").read_bytes()) for root in roots)
            assert mine == theirs, argument
        store.close()

    as_ordinary_user(work)


@pytest.mark.parametrize("md5", ["apop3d", "all"])
@pytest.mark.parametrize("template", ["%m", "%u-%10m"])
def test_uidls_by_header_md5(roots: tuple[Path, Path], md5: str, template: str) -> None:
    def work() -> None:
        env = prepared(roots[1], f"mbox_md5 = {md5}\npop3_uidl_format = {template}\n")
        data = b"".join(LINE + text + b"\n" for text in ODD_HEADERS)
        for root in roots:
            (root / "spool").write_bytes(data)
        done = subprocess.run(
            [POP3, "-c", str(roots[1] / "dovecot.conf")], input=b"UIDL\r\nQUIT\r\n", env=env, check=False,
            capture_output=True, timeout=60,
        )  # fmt: skip
        store = ours(roots[0], mbox_md5=md5, pop3_uidl_format=template)
        settings, event = Pop3Settings(pop3_uidl_format=template), Event(ListSink())
        connection = Pop3Connection(lambda: Session(store, settings, event), settings, event, lambda: "-")
        list(connection.start())
        answer = b"".join(connection.feed(b"UIDL\r\n"))
        assert answer.count(b"\r\n") == len(ODD_HEADERS) + 2
        assert answer in done.stdout, (answer, done)
        b"".join(connection.feed(b"QUIT\r\n"))
        store.close()

    as_ordinary_user(work)
