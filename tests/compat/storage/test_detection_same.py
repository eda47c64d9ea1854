"""What mail there is when mail_location does not say: asked of Dovecot's imap process by its debug log."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.model.errors import InternalError
from pydovecot.storage.location import parse
from tests.support.dovecot_imap import IMAP, as_ordinary_user, missing, user_directory

pytestmark = [pytest.mark.compat, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]
CONF = """base_dir = {place}/run
state_dir = {place}/run
ssl = no
first_valid_uid = 1
mail_debug = yes
{location}
userdb {{
  driver = static
}}
"""
_ROOT = re.compile(r"^.*Debug: (?:fs|maildir\+\+): root=(.*?), .*?inbox=(.*?), ", re.MULTILINE)
_FAILED = re.compile(r"Fatal: (?:Initializing mail storage from mail_location setting failed: )?(.*)")

# mail_location, what is in the home ("x/" a folder, "x" a file).
CASES = [
    ("", ""),
    ("", "mail/"),
    ("", "mail/.imap/"),
    ("", "mail/inbox"),
    ("", "mail/mbox"),
    ("", "mail/INBOX"),
    ("", "Mail/inbox"),
    ("", "mail/inbox Mail/inbox"),
    ("", "Maildir/"),
    ("", "Maildir/cur/"),
    ("", "Maildir/cur/ mail/inbox"),
    ("", "mdbox/storage/ Maildir/cur/"),
    ("", "sdbox/mailboxes/ mdbox/storage/"),
    ("~/mail", "mail/inbox"),
    ("~/mail", "mail/"),
    ("~/mail", "mail/.imap/"),
    ("~/box", "box/cur/"),
    ("~/box", "box/"),
    ("~/box", ""),
    ("~/file", "file"),
    ("~/file", "file mail/inbox"),
    ("auto:~/mail", "mail/inbox"),
    ("auto:", "mail/inbox"),
    ("~/box", "box/mailboxes/"),
    ("~/mail:INBOX=~/box", "mail/ box"),
    ("~/mail:INBOX=~/box", "mail/.imap/ box"),
    ("mbox:", "mail/inbox"),
    ("mbox:~/none", ""),
]


@pytest.fixture
def home() -> Iterator[Path]:
    path = user_directory()
    yield path
    shutil.rmtree(path)


def theirs(home: Path, place: Path, location: str) -> str:
    (place / "run").mkdir(parents=True)
    setting = f"mail_location = {location}" if location else ""
    (place / "dovecot.conf").write_text(CONF.format(place=place, location=setting))
    done = subprocess.run(
        [IMAP, "-c", str(place / "dovecot.conf")], input=b"a LOGOUT\r\n", capture_output=True, timeout=60,
        env={"HOME": str(home), "USER": "nobody", "PATH": "/usr/sbin:/usr/bin:/bin"}, check=False,
    )  # fmt: skip
    log = done.stderr.decode()
    if failed := _FAILED.search(log):
        return failed[1]
    found = _ROOT.search(log)
    assert found, log
    root, inbox = found.groups()
    return f"{root} {'' if inbox in (root, root + '/inbox') else inbox}"


def ours(home: Path, location: str) -> str:
    try:
        found = parse(location, str(home), "nobody")
    except InternalError as exc:
        text = str(exc).removeprefix("Initialization failed: ")
        return text.removeprefix("Initializing mail storage from mail_location setting failed: ")
    return f"{found.root} {found.key('INBOX')}"


@pytest.mark.skipif(
    any(os.path.exists(f"{spool}/nobody") for spool in ("/var/mail", "/var/spool/mail")),
    reason="the user nobody has mail",
)
@pytest.mark.parametrize(("location", "there"), CASES)
def test_detection(home: Path, location: str, there: str) -> None:
    def work() -> None:
        for name in there.split():
            path = home / name
            (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
            if not name.endswith("/"):
                path.touch()
        assert ours(home, location) == theirs(home, home / "d", location)

    as_ordinary_user(work)
