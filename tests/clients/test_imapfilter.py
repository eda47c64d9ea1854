"""imapfilter: rules that search, copy, move, flag and delete; waits in IDLE for mail to file."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.support.clients import PASSWORD, Account, Site, digests, need, run_client
from tests.support.terminal import client_environment

pytestmark = [pytest.mark.process, pytest.mark.clients]

SECURITY = {
    "plain": ("imap", "options.starttls = false", ""),
    "starttls": ("imap", "options.starttls = true", ""),
    "tls": ("imaps", "", "ssl = 'auto',"),
}
MAIL = {
    "bill": b"From: Ann <ann@shop.example>\r\nTo: us@home.example\r\nSubject: Bill 7\r\n"
    b"Date: Mon, 5 Jan 2026 10:00:00 +0000\r\n\r\nPlease pay 12 coins.\r\n",
    "offer": b"From: Offers <spam@shop.example>\r\nTo: us@home.example\r\nSubject: Buy now\r\nX-Junk: yes\r\n"
    b"Date: Mon, 5 Jan 2026 11:00:00 +0000\r\n\r\n" + b"Cheap, cheap, cheap. " * 200 + b"\r\n",
    "letter": "From: Jörg <j@home.example>\r\nTo: us@home.example\r\nSubject: Grüße\r\n"
    "Content-Type: text/plain; charset=utf-8\r\nDate: Sun, 1 Feb 2026 09:00:00 +0100\r\n\r\n"
    "Schöne Grüße aus Köln\r\n".encode(),
    "list": b"From: Bo <bo@list.example>\r\nTo: list@list.example\r\nCc: us@home.example\r\n"
    b"Subject: Re: [list] tides\r\nDate: Tue, 3 Feb 2026 08:00:00 +0000\r\n\r\nHigh at noon.\r\n",
}


def config(account: Account, cwd: Path, how: str, rules: str) -> Path:
    port, option, ssl = SECURITY[how]
    path = cwd / "config.lua"
    path.touch(mode=0o600)
    path.write_text(
        f"options.certificates = false\noptions.hostnames = false\noptions.timeout = 30\n"
        f"options.create = true\noptions.subscribe = true\noptions.charset = 'UTF-8'\n{option}\n"
        f"account = IMAP {{ server = 'localhost', port = {getattr(account.site, port)}, {ssl}\n"
        f"  username = '{account.name}', password = '{PASSWORD}' }}\n{rules}\n"
    )
    return path


def imapfilter(account: Account, cwd: Path, how: str, rules: str) -> list[str]:
    """Run rules; the lines that they print."""
    path = config(account, cwd, how, rules)
    return run_client(need("imapfilter"), "-c", str(path), cwd=cwd).decode().splitlines()


@pytest.fixture
def account(site: Site) -> Account:
    """A user with just the messages above in INBOX."""
    made = site.account(empty=True)
    for body in MAIL.values():
        made.deliver(body)
    return made


@pytest.mark.parametrize("how", SECURITY)
def test_rules(account: Account, tmp_path: Path, how: str) -> None:
    rules = r"""
    options.info = false
    inbox = account.INBOX
    inbox:contain_subject('Bill'):mark_flagged()
    inbox:contain_from('shop.example'):copy_messages(account['Shops'])
    junk = inbox:contain_field('X-Junk', 'yes') * inbox:is_larger(1000)
    junk:delete_messages()
    inbox:contain_cc('us@home.example'):move_messages(account['Lists/Tides'])
    inbox:match_body('Köln'):add_flags({ '\\Answered', 'Family' })
    print(#(inbox:is_flagged() + inbox:has_keyword('Family')))
    """
    assert imapfilter(account, tmp_path, how, rules) == ["2"]
    assert digests(account.bodies_on_server()) == digests([MAIL["bill"], MAIL["letter"]])
    assert digests(account.bodies_on_server("Shops")) == digests([MAIL["bill"], MAIL["offer"]])
    assert digests(account.bodies_on_server("Lists.Tides")) == digests([MAIL["list"]])
    bill, letter = (head for head, _ in account.on_server())
    assert b"\\Flagged" in bill and b"\\Answered" not in bill
    assert b"\\Answered" in letter and b"Family" in letter


SEARCHES = {
    "contain_subject('grüße')": ["letter"],
    "contain_body('GRÜSSE')": [],
    "contain_body('schöne grüße')": ["letter"],
    "contain_message('coins')": ["bill"],
    "contain_from('JÖRG')": ["letter"],
    "sent_before('01-Feb-2026')": ["bill", "offer"],
    "sent_since('02-Feb-2026')": ["list"],
    "is_smaller(1000)": ["bill", "letter", "list"],
    "is_seen()": [],
    "is_unanswered() * account.INBOX:contain_to('list@')": ["list"],
    "match_subject('^Re: \\\\[list\\\\]')": ["list"],
    "send_query('OR SUBJECT Bill HEADER X-Junk \"\"')": ["bill", "offer"],
    "select_all()": ["bill", "offer", "letter", "list"],
}


def test_searches(account: Account, tmp_path: Path) -> None:
    """One line per search with the UIDs found, which the messages have in the order of their delivery."""
    lines = ["options.info = false"]
    for search in SEARCHES:
        lines.append("uids = {}")
        lines.append(f"for _, m in ipairs(account.INBOX:{search}) do table.insert(uids, m[2]) end")
        lines.append("table.sort(uids) print(table.concat(uids, ' '))")
    names = list(MAIL)
    got = imapfilter(account, tmp_path, "plain", "\n".join(lines))
    found = {
        search: [names[int(uid) - 1] for uid in line.split()]
        for search, line in zip(SEARCHES, got, strict=True)
    }
    assert found == SEARCHES


def test_folders(account: Account, tmp_path: Path) -> None:
    rules = """
    options.info = false
    account:create_mailbox('Box/Inner')
    account:rename_mailbox('Box/Inner', 'Box/Other')
    account:subscribe_mailbox('Box/Other')
    account:create_mailbox('Gone')
    account:delete_mailbox('Gone')
    mailboxes = account:list_all('Box')
    print(table.concat(mailboxes, ' '))
    mailboxes = account:list_subscribed('', '*')
    print(table.concat(mailboxes, ' '))
    print(account.INBOX:check_status())
    """
    assert imapfilter(account, tmp_path, "plain", rules) == ["Box/Other", "Box/Other", "4\t4\t4\t5"]


@pytest.mark.parametrize("how", ["plain", "tls"])
def test_idle(account: Account, tmp_path: Path, how: str) -> None:
    """It waits, mail comes, it files the mail and ends."""
    rules = (
        "print(account.INBOX:enter_idle())\naccount.INBOX:contain_subject('Late'):move_messages(account.Late)"
    )
    path, talk = config(account, tmp_path, how, rules), tmp_path / "talk"
    command = [need("imapfilter"), "-c", str(path), "-d", str(talk)]
    with subprocess.Popen(
        command, cwd=tmp_path, env=client_environment(tmp_path), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not talk.exists() or "+ idling" not in talk.read_text(errors="replace"):
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)
            account.deliver(b"Subject: Late\r\n\r\nsorry\r\n")
            out, _ = process.communicate(timeout=30)
        except BaseException:
            process.kill()
            raise
    assert process.returncode == 0 and out.startswith("true\t"), out
    assert digests(account.bodies_on_server("Late")) == digests([b"Subject: Late\r\n\r\nsorry\r\n"])
    assert len(account.bodies_on_server()) == len(MAIL)
