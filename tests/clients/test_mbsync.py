"""mbsync (isync): the same mail, flags and deletions on both sides, whichever side changed."""

from pathlib import Path

import pytest

from tests.support.cert import shared_certificate
from tests.support.clients import PASSWORD, Account, digests, maildir_messages, need, run_client
from tests.support.mailgen import generate

pytestmark = [pytest.mark.process, pytest.mark.clients]

SECURITY = {
    "plain": ("imap", "SSLType None\nAuthMechs LOGIN"),
    "starttls": ("imap", "SSLType STARTTLS"),
    "tls": ("imaps", "SSLType IMAPS"),
}


class Mbsync:
    """A channel of one account into `mail/`."""

    def __init__(self, account: Account, cwd: Path, how: str) -> None:
        port, lines = SECURITY[how]
        self.cwd, self.mail = cwd, cwd / "mail"
        self.mail.mkdir()
        if how != "plain":
            lines += f"\nCertificateFile {shared_certificate().cert}"
        (cwd / "mbsyncrc").write_text(
            f"IMAPAccount server\nHost localhost\nPort {getattr(account.site, port)}\nUser {account.name}\n"
            f"Pass {PASSWORD}\n{lines}\n\nIMAPStore far\nAccount server\n\n"
            f"MaildirStore near\nPath {self.mail}/\nInbox {self.mail}/INBOX\nSubFolders Verbatim\n\n"
            f"Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n"
        )

    def run(self) -> None:
        run_client(need("mbsync"), "-c", "mbsyncrc", "-a", cwd=self.cwd)

    def messages(self, folder: str = "INBOX") -> list[bytes]:
        return [without_tuid(body) for body in maildir_messages(self.mail / folder)]

    def find(self, folder: str, text: bytes) -> Path:
        """The file that contains a text."""
        for name in ("cur", "new"):
            for path in (self.mail / folder / name).iterdir():
                if text in path.read_bytes():
                    return path
        raise AssertionError(f"{text!r} is not here")


def without_tuid(body: bytes) -> bytes:
    """mbsync adds X-TUID to messages that it stores on a side."""
    head, sep, rest = body.partition(b"\n\n")
    lines = [line for line in head.split(b"\n") if not line.startswith(b"X-TUID:")]
    return b"\n".join(lines) + sep + rest


def on_server(account: Account, folder: str = "INBOX") -> list[bytes]:
    return [without_tuid(body.replace(b"\r\n", b"\n")) for body in account.bodies_on_server(folder)]


@pytest.mark.parametrize("how", SECURITY)
def test_both_ways(account: Account, tmp_path: Path, how: str) -> None:
    sync = Mbsync(account, tmp_path, how)
    sync.run()
    assert digests(sync.messages()) == digests(account.inbox)
    assert digests(sync.messages("Work")) == digests(account.work)

    # Here: a new message, a flag, a deletion, a new folder. There: a new message.
    mine, theirs, filed = generate(41, 3)
    (sync.mail / "INBOX" / "new" / "1.mine").write_bytes(mine.replace(b"\r\n", b"\n"))
    marked = sync.find("INBOX", account.inbox[0].partition(b"Message-ID: ")[2][:30] or b"no date")
    flagged = marked.parent.parent / "cur" / f"{marked.name.partition(':2,')[0]}:2,FS"
    marked.rename(flagged)
    gone_body = sync.find("Work", account.work[1].partition(b"\r\n")[0]).read_bytes()
    gone = sync.find("Work", gone_body[:200])
    gone.rename(gone.parent.parent / "cur" / f"{gone.name.partition(':2,')[0]}:2,ST")
    for name in ("cur", "new", "tmp"):
        (sync.mail / "Filed" / name).mkdir(parents=True)
    (sync.mail / "Filed" / "new" / "2.filed").write_bytes(filed.replace(b"\r\n", b"\n"))
    account.deliver(theirs)
    sync.run()
    sync.run()

    assert digests(sync.messages()) == digests([*account.inbox, mine, theirs])
    assert digests(on_server(account)) == digests(sync.messages())
    assert len(on_server(account, "Work")) == len(account.work) - 1
    assert digests(on_server(account, "Work")) == digests(sync.messages("Work"))
    assert digests(on_server(account, "Filed")) == digests([filed])
    flags = [head for head, body in account.on_server() if b"\\Flagged" in head and b"\\Seen" in head]
    assert len(flags) == 1
