"""alpine on a terminal: lists, reads, saves into another folder, deletes, over IMAP and POP3."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.clients import PASSWORD, Account, digest, digests, need
from tests.support.tmux import Terminal, terminal

pytestmark = [pytest.mark.process, pytest.mark.clients]

# name: protocol, port attribute, words of the mailbox name
WAYS = {
    "imap": ("imap", "imap", "/notls"),
    "imap starttls": ("imap", "imap", "/tls/novalidate-cert"),
    "imaps": ("imap", "imaps", "/ssl/novalidate-cert"),
    "pop3": ("pop3", "pop3", "/notls"),
    "pop3 stls": ("pop3", "pop3", "/tls/novalidate-cert"),
    "pop3s": ("pop3", "pop3s", "/ssl/novalidate-cert"),
}
FEATURES = (
    "disable-password-file-saving,quit-without-confirm,expunge-without-confirm,"
    "expunge-without-confirm-everywhere,enable-aggregate-command-set"
)
UNWANTED = b"From: Ada <ada@example.org>\r\nSubject: Unwanted offer\r\n\r\nwords to read\r\n"
KEPT = b"From: Bob <bob@example.org>\r\nSubject: Kept letter\r\n\r\nwords to keep\r\n.dot\r\n"


@contextmanager
def alpine(account: Account, cwd: Path, way: str) -> Iterator[Terminal]:
    """alpine with the INBOX open."""
    protocol, port, words = WAYS[way]
    server = f"{{localhost:{getattr(account.site, port)}/{protocol}/user={account.name}{words}}}"
    (cwd / "mail").mkdir()
    collection = f"Mail {server}[]" if protocol == "imap" else f"Mail {cwd}/mail/[]"
    (cwd / "pinerc").write_text(
        f"personal-name=Test\nuser-domain=example.org\ninbox-path={server}INBOX\n"
        f"folder-collections={collection}\nfeature-list={FEATURES}\nlast-version-used=9.99\n"
        'sort-key=Arrival\ndefault-fcc=""\n'
    )
    tmux, program = need("tmux"), need("alpine")
    with terminal(tmux, cwd, f"{program} -p {cwd}/pinerc -i") as screen:
        screen.wait("ENTER PASSWORD")
        screen.write(PASSWORD)
        screen.keys("Enter")
        # The title stays; what the line at the bottom says of it is soon written over.
        screen.wait(f" of {len(account.inbox) + 2} ")
        yield screen


def jump(screen: Terminal, number: int) -> None:
    """Make a message the current one."""
    screen.write("j")
    screen.wait("jump to")
    screen.write(str(number))
    screen.keys("Enter")
    screen.wait(f"Message {number:2} of")


@pytest.mark.parametrize("way", WAYS)
def test_a_session(account: Account, tmp_path: Path, way: str) -> None:
    for body in (UNWANTED, KEPT):
        account.deliver(body)
    count = len(account.inbox)
    folder = "Work" if way.startswith("imap") else "letters"
    with alpine(account, tmp_path, way) as screen:
        screen.wait("Unwanted offer")
        jump(screen, count + 1)
        screen.keys("Enter")
        screen.wait("words to read")
        screen.write("d")
        screen.wait("words to keep")  # the next message is shown
        screen.write("s")
        screen.wait("SAVE Msg")
        screen.keys("C-u")
        screen.write(folder)
        screen.keys("Enter")
        if way.startswith("pop3"):
            screen.wait("doesn't exist.  Create?")
            screen.write("y")
        screen.wait("ALL DEL")  # of the title: the whole message is shown, and marked
        screen.write("<")
        screen.wait("MESSAGE INDEX")
        screen.write("x")
        screen.wait(f" of {count} ")  # of the title: both are expunged
        screen.write("q")
        screen.wait_end()
    assert digests(account.bodies_on_server()) == digests(account.inbox)
    if way.startswith("imap"):
        assert digests(account.bodies_on_server("Work")) == digests([*account.work, KEPT])
    else:
        saved = (tmp_path / "mail" / "letters").read_bytes()
        assert b"words to keep\n.dot\n" in saved.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("way", ["imap", "pop3"])
def test_looks_for_words(account: Account, tmp_path: Path, way: str) -> None:
    """SEARCH on the server with IMAP, over all of RETR with POP3; nothing is changed but what was read."""
    for body in (UNWANTED, KEPT):
        account.deliver(body)
    with alpine(account, tmp_path, way) as screen:
        screen.write(";")
        screen.wait("SELECT criteria")
        screen.write("t")
        screen.wait("Select based on")
        screen.write("a")
        screen.wait("to match")
        screen.write("words to keep")
        screen.keys("Enter")
        found = screen.wait("X N  14")  # selected, and no other is shown
        assert "Kept letter" in found and "Unwanted" not in found
        screen.write("q")
        screen.wait_end()
    assert [digest(body) for body in account.bodies_on_server()][-2:] == [digest(UNWANTED), digest(KEPT)]
