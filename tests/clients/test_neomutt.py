"""neomutt: with and without its header cache, CONDSTORE and QRESYNC; reads, flags, files and deletes."""

from pathlib import Path

import pytest

from tests.support.cert import shared_certificate
from tests.support.clients import PASSWORD, Account, digest, digests, maildir_messages, need
from tests.support.letters import LATE
from tests.support.mailgen import generate
from tests.support.terminal import run_in_terminal
from tests.support.texts import without_headers
from tests.support.tmux import terminal

pytestmark = [pytest.mark.process, pytest.mark.clients]

SETTINGS = """\
set copy=no confirmappend=no delete=yes quit=yes wait_key=no mbox_type=Maildir crypt_use_gpgme=no
set imap_check_subscribed=no sleep_time=0 mark_old=no move=no confirmcreate=no beep=no auto_tag=no
set imap_authenticators="plain:login" ssl_verify_host=no certificate_file=certificates pager_stop=yes
"""
CACHE = {
    "no cache": "",
    "cache": 'set header_cache="{cwd}/cache" imap_condstore=no imap_qresync=no\n',
    "condstore": 'set header_cache="{cwd}/cache" imap_condstore=yes imap_qresync=no\n',
    "qresync": 'set header_cache="{cwd}/cache" imap_condstore=yes imap_qresync=yes\n',
}
SECURITY = {
    "plain": ("imap", "imap", "set ssl_starttls=no ssl_force_tls=no\n"),
    "starttls": ("imap", "imap", "set ssl_starttls=yes ssl_force_tls=yes\n"),
    "tls": ("imaps", "imaps", ""),
}
# neomutt writes its own when it copies.
OWN_HEADERS = ("Status", "X-Status", "Content-Length", "Lines")


class Neomutt:
    """One user's neomutt, whose cache lives from run to run."""

    def __init__(self, account: Account, cwd: Path, cache: str = "no cache", security: str = "plain") -> None:
        scheme, port, lines = SECURITY[security]
        self.cwd, self.runs = cwd, 0
        self.said = ""  # by the last run to the server
        self.url = f"{scheme}://{account.name}@localhost:{getattr(account.site, port)}/"
        (cwd / "certificates").write_bytes(shared_certificate().cert.read_bytes())
        settings = f"{SETTINGS}{lines}{CACHE[cache].format(cwd=cwd)}"
        (cwd / "neomuttrc").write_text(f'{settings}set imap_pass={PASSWORD} folder="{self.url}"\n')

    def press(self, folder: str, keys: str) -> None:
        """Open a folder, press keys that lead to the end."""
        self.runs += 1
        command = [need("neomutt"), "-n", "-F", "neomuttrc", "-d", "2", "-l", "debug"]
        run_in_terminal([*command, "-f", f"{self.url}{folder}", "-e", f'push "{keys}"'], self.cwd)
        self.said = (self.cwd / "debug0").read_text(errors="replace")

    def copies(self, folder: str, pattern: str) -> list[bytes]:
        """The messages that neomutt finds for a pattern of its own, copied here."""
        place = self.cwd / f"copies{self.runs}"
        self.press(folder, f"{all_that(pattern)}<copy-message><kill-line>{place}<enter><quit>")
        return [without_headers(body, OWN_HEADERS) for body in maildir_messages(place)]


def all_that(pattern: str) -> str:
    """Keys: the next function is for all messages of a pattern."""
    return f"<tag-pattern>{pattern}<enter><tag-prefix>"


@pytest.mark.parametrize("security", SECURITY)
def test_lists_and_reads_everything(account: Account, tmp_path: Path, security: str) -> None:
    mutt = Neomutt(account, tmp_path, security=security)
    assert digests(mutt.copies("INBOX", "~A")) == digests(account.inbox)
    assert not any(b"\\Seen" in head for head, _ in account.on_server())
    mutt.press("INBOX", "<first-entry><display-message><exit><next-entry><display-message><exit><quit>")
    assert sum(b"\\Seen" in head for head, _ in account.on_server()) == 2


@pytest.mark.parametrize("cache", CACHE)
def test_sees_what_others_changed(account: Account, tmp_path: Path, cache: str) -> None:
    """Between two runs flags change, messages come and go: the second sees what is, not what was."""
    mutt = Neomutt(account, tmp_path, cache)
    assert digests(mutt.copies("INBOX", "~A")) == digests(account.inbox)
    with account.imap() as client:
        client.select()
        client.store("3,8", "+FLAGS", r"(\Flagged)")
        client.store("1,6,12", "+FLAGS", r"(\Deleted)")
        client.expunge()
    (new,) = generate(91, 1)
    account.deliver(new)

    kept = [body for number, body in enumerate(account.inbox, 1) if number not in (1, 6, 12)]
    assert digests(mutt.copies("INBOX", "~F")) == digests([account.inbox[2], account.inbox[7]])
    assert ("(CHANGEDSINCE " in mutt.said) == (cache in ("condstore", "qresync"))
    assert (" VANISHED)" in mutt.said) == (cache == "qresync")
    assert digests(mutt.copies("INBOX", "~A")) == digests([*kept, new])


@pytest.mark.parametrize("cache", ["no cache", "qresync"])
def test_flags_files_and_deletes(account: Account, tmp_path: Path, cache: str) -> None:
    mutt = Neomutt(account, tmp_path, cache)
    keys = "<first-entry><flag-message><next-entry><flag-message><sync-mailbox>"
    mutt.press("INBOX", f"{keys}{all_that('~F')}<save-message><kill-line>=Work<enter><quit>")
    left = [digest(body) for body in account.bodies_on_server()]
    filed = account.on_server("Work")[len(account.work) :]
    assert len(filed) == 2 and all(b"\\Flagged" in head for head, _ in filed)
    moved = digests([body for _, body in filed])
    assert moved + digests(account.bodies_on_server()) == digests(account.inbox)

    mutt.press("INBOX", f"<delete-message>{all_that('~F|~N')}<set-flag>r<quit>")
    now = account.on_server()
    assert [digest(body) for _, body in now] != left and len(now) == len(left) - 1
    mutt.press("Work", f"{all_that('~A')}<delete-message><quit>")
    assert account.bodies_on_server("Work") == []


def test_files_a_message_there(account: Account, tmp_path: Path) -> None:
    (body,) = generate(93, 1)
    for name in ("cur", "new", "tmp"):
        (tmp_path / "local" / name).mkdir(parents=True)
    (tmp_path / "local" / "new" / "1.x").write_bytes(body.replace(b"\r\n", b"\n"))
    with account.imap() as client:
        client.create("Gem&APw-se")
    mutt = Neomutt(account, tmp_path)
    there = f"<change-folder><kill-line>{tmp_path}/local<enter>"
    mutt.press("INBOX", f"{there}<copy-message><kill-line>=Gemüse<enter><quit>")
    stored = account.bodies_on_server("Gem&APw-se")
    assert digests([without_headers(found, OWN_HEADERS) for found in stored]) == digests([body])


def test_new_mail_appears(account: Account, tmp_path: Path) -> None:
    """It waits in IDLE: new mail comes onto the screen, and what another client deletes goes."""
    mutt = Neomutt(account, tmp_path)
    program, settings = need("neomutt"), "set imap_idle=yes timeout=1 mail_check=600 imap_keepalive=600"
    command = f"{program} -n -F neomuttrc -d 2 -l debug -f {mutt.url}INBOX -e '{settings}'"
    with terminal(need("tmux"), tmp_path, command) as screen:
        screen.wait(f"Msgs:{len(account.inbox)}")
        account.deliver(LATE)
        screen.wait("Just now")
        with account.imap() as client:
            client.select()
            client.store(str(len(account.inbox) + 1), "+FLAGS", r"(\Deleted)")
            client.expunge()
        screen.wait(f"Msgs:{len(account.inbox)} ")
        screen.write("q")
        screen.wait_end()
    said = (tmp_path / "debug0").read_text(errors="replace")
    assert "IDLE" in said and " NOOP" not in said
