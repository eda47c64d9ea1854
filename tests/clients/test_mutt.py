"""mutt: reads a mailbox, saves all of it here, files mail there, deletes."""

from pathlib import Path

import pytest

from tests.support.cert import shared_certificate
from tests.support.clients import PASSWORD, Account, digests, maildir_messages, need
from tests.support.mailgen import generate
from tests.support.terminal import run_in_terminal
from tests.support.texts import without_headers

pytestmark = [pytest.mark.process, pytest.mark.clients]

SCHEMES = {
    "plain": ("imap", "imap", "set ssl_starttls=no\n"),
    "starttls": ("imap", "imap", "set ssl_starttls=yes ssl_force_tls=yes\n"),
    "tls": ("imaps", "imaps", ""),
}
SETTINGS = """\
set header_cache="" copy=no confirmappend=no delete=yes quit=yes wait_key=no mbox_type=Maildir
set imap_check_subscribed=no sleep_time=0 mark_old=no move=no confirmcreate=no beep=no auto_tag=no
set imap_authenticators="plain:login" ssl_verify_host=no certificate_file=certificates
"""


# mutt writes its own when it copies.
OWN_HEADERS = ("Status", "X-Status", "Content-Length", "Lines")


def plain(messages: list[bytes]) -> list[bytes]:
    """Without the headers that mutt adds to copies."""
    return [without_headers(message, OWN_HEADERS) for message in messages]


def mutt(account: Account, cwd: Path, how: str, folder: str, keys: str) -> None:
    """Open a folder of the server and press keys; ends when mutt does."""
    scheme, port, lines = SCHEMES[how]
    url = f"{scheme}://{account.name}:{PASSWORD}@localhost:{getattr(account.site, port)}/"
    (cwd / "certificates").write_bytes(shared_certificate().cert.read_bytes())
    (cwd / "muttrc").write_text(f'{SETTINGS}{lines}set folder="{url}"\npush "{keys}"\n')
    run_in_terminal([need("mutt"), "-n", "-F", "muttrc", "-f", f"{url}{folder}"], cwd)


@pytest.mark.parametrize("how", SCHEMES)
def test_saves_everything_here(account: Account, tmp_path: Path, how: str) -> None:
    keys = f"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{tmp_path}/saved<enter><quit>"
    mutt(account, tmp_path, how, "INBOX", keys)
    assert digests(plain(maildir_messages(tmp_path / "saved"))) == digests(account.inbox)
    assert len(account.bodies_on_server()) == len(account.inbox)


def test_moves_between_folders(account: Account, tmp_path: Path) -> None:
    keys = "<tag-pattern>~A<enter><tag-prefix><save-message><kill-line>=Work<enter><quit>"
    mutt(account, tmp_path, "plain", "INBOX", keys)
    assert account.bodies_on_server() == []
    assert digests(account.bodies_on_server("Work")) == digests([*account.inbox, *account.work])


def test_files_a_message_there(account: Account, tmp_path: Path) -> None:
    body = next(generate(88, 1))
    for name in ("cur", "new", "tmp"):
        (tmp_path / "local" / name).mkdir(parents=True)
    (tmp_path / "local" / "new" / "1.x").write_bytes(body.replace(b"\r\n", b"\n"))
    keys = f"<change-folder><kill-line>{tmp_path}/local<enter><copy-message><kill-line>=INBOX<enter><quit>"
    mutt(account, tmp_path, "plain", "Work", keys)
    assert digests(plain(account.bodies_on_server())) == digests([*account.inbox, body])


def test_deletes(account: Account, tmp_path: Path) -> None:
    mutt(account, tmp_path, "plain", "INBOX", "<delete-pattern>~A<enter><undelete-message><quit>")
    assert len(account.bodies_on_server()) < len(account.inbox)
