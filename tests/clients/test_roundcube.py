"""Roundcube in a browser: log in, list, read, fetch an attachment, search, move, delete, keep a draft."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import PASSWORD, Account, Site
from tests.support.letters import GREETING, LATE, LETTERS, NOTE, PARCEL, TABLE
from tests.support.roundcube import Roundcube, roundcube_missing
from tests.support.webdriver import Browser, browser_missing

pytestmark = [
    pytest.mark.process,
    pytest.mark.clients,
    pytest.mark.parametrize("site", ["ordinary-user"], indirect=True),
]

HOSTS = {"plain": ("", "imap"), "starttls": ("tls://", "imap"), "tls": ("ssl://", "imaps")}
ENTER = "\ue007"
LAST_FIRST = tuple(reversed(LETTERS))

LOGIN_FORM = "return document.querySelector('#rcmloginuser') != null"
# Nothing is under way.
IDLE = "return window.rcmail && !rcmail.busy && !jQuery.active"
LISTED = """
const rows = [...document.querySelectorAll('#messagelist tbody tr.message')].filter(row => row.offsetParent);
const subjects = rows.map(row => row.querySelector('td.subject span.subject').innerText.trim());
return !rcmail.busy && !jQuery.active && JSON.stringify(subjects) == JSON.stringify(arguments[0]);
"""
ROW = """
const rows = [...document.querySelectorAll('#messagelist tbody tr.message')];
return rows.findIndex(row => row.innerText.includes(arguments[0])) + 1;
"""
# The message on the screen: subject, text, links of attachments.
SHOWN = """
const page = document.querySelector('#messagecontframe').contentDocument;
const text = page.querySelector('#messagebody')?.innerText ?? '';
if (page.readyState != 'complete' || !text.includes(arguments[0])) return null;
return [page.querySelector('h2.subject').innerText,
    [...page.querySelectorAll('#attachment-list a.filename')].map(
        link => [link.querySelector('.attachment-name').innerText, link.href])];
"""
FETCH = """
return fetch(arguments[0] + '&_download=1').then(answer => answer.arrayBuffer())
    .then(buffer => Array.from(new Uint8Array(buffer)));
"""
FOLDERS = "return [...document.querySelectorAll('#mailboxlist li > a')].map(link => link.rel)"


class Webmail:
    """What a user does in the window."""

    def __init__(self, browser: Browser, roundcube: Roundcube) -> None:
        self.browser, self.roundcube = browser, roundcube

    def log_in(self, account: Account) -> None:
        self.browser.open(self.roundcube.url)
        self.browser.wait("the form", LOGIN_FORM)
        self.browser.type("#rcmloginuser", account.name)
        self.browser.type("#rcmloginpwd", PASSWORD)
        self.browser.click("#rcmloginsubmit")

    def listed(self, *subjects: str) -> None:
        """Wait until the list has these messages."""
        self.browser.wait(f"a list of {subjects}", LISTED, subjects)

    def log_out(self) -> None:
        self.browser.click("#taskmenu a.logout")
        self.browser.wait("the form again", LOGIN_FORM)

    def folder(self, name: str) -> None:
        self.browser.click(f"#mailboxlist a[rel='{name}']")
        self.browser.wait(name, f"return rcmail.env.mailbox == '{name}' && !rcmail.busy && !jQuery.active")

    def select(self, subject: str) -> None:
        row = self.browser.wait(f"{subject} in the list", ROW, subject)
        self.browser.click(f"#messagelist tbody tr.message:nth-child({row}) td.subject")

    def read(self, subject: str, text: str) -> dict[str, str]:
        """Click on a message and wait until its text is there; its attachments and their links."""
        self.select(subject)
        shown, attachments = self.browser.wait(f"the text of {subject}", SHOWN, text)
        assert subject in shown
        return dict(attachments)

    def fetch(self, link: str) -> bytes:
        return bytes(self.browser.run(FETCH, link))

    def command(self, name: str, argument: str = "") -> None:
        self.browser.run("rcmail.command(arguments[0], arguments[1])", name, argument)

    def order(self, column: str, direction: str, *, threads: bool = False) -> None:
        """As its dialogue of list options does."""
        self.browser.run("rcmail.set_list_options([], ...arguments)", column, direction, int(threads))
        self.browser.wait("the answer", IDLE)

    def search(self, text: str) -> None:
        self.browser.run("document.querySelector('#mailsearchform').value = ''")
        self.browser.type("#mailsearchform", text + ENTER)
        self.browser.wait("the answer", "return rcmail.env.search_request && !rcmail.busy && !jQuery.active")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    if missing := browser_missing() or roundcube_missing():
        pytest.skip(f"{missing} is not installed")
    with Browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def account(site: Site) -> Account:
    """The three letters in INBOX, and Work, subscribed."""
    made = site.account(empty=True)
    for body in LETTERS.values():
        made.deliver(body)
    with made.imap() as client:
        client.create("Work")
        client.subscribe("Work")
        client.select()  # Dovecot tells 0 to one of two sessions that look at new mail for the first time
    return made


@pytest.fixture(params=["plain"])
def webmail(
    browser: Browser, account: Account, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Webmail]:
    scheme, port = HOSTS[request.param]
    with Roundcube(tmp_path, f"{scheme}localhost:{getattr(account.site, port)}") as roundcube:
        user = Webmail(browser, roundcube)
        user.log_in(account)
        yield user
        browser.forget()


@pytest.mark.parametrize("webmail", HOSTS, indirect=True)
def test_lists_and_reads(webmail: Webmail, account: Account, tmp_path: Path) -> None:
    webmail.listed(*LAST_FIRST)
    folders = webmail.browser.run(FOLDERS)
    assert {"INBOX", "Work", "Trash", "Drafts", "Sent", "Junk"} <= set(folders)
    assert webmail.read("Plain note", "second shelf") == {}
    assert webmail.read("Grüße aus Köln", "Schöne Grüße vom Flüßchen") == {}
    attachments = webmail.read("A parcel", "table is attached")
    webmail.browser.screenshot(tmp_path / "read.png")
    assert list(attachments) == ["table.bin"]
    assert webmail.fetch(attachments["table.bin"]) == TABLE
    webmail.browser.wait("nothing unread", "return rcmail.env.unread_counts.INBOX == 0")
    for subject in (b"Plain note", b"=?utf-8?B?R3", b"A parcel"):
        account.wait_for_flag("INBOX", subject, b"\\Seen")


def test_searches_moves_and_deletes(webmail: Webmail, account: Account, tmp_path: Path) -> None:
    webmail.listed(*LAST_FIRST)
    webmail.search("GRÜSSE")
    webmail.listed()
    webmail.search("grüße")
    webmail.listed("Grüße aus Köln")
    webmail.browser.screenshot(tmp_path / "search.png")
    webmail.command("reset-search")
    webmail.listed(*LAST_FIRST)

    webmail.read("A parcel", "table is attached")
    webmail.command("move", "Work")
    webmail.listed("Grüße aus Köln", "Plain note")
    account.wait_for("Work", [PARCEL])
    webmail.read("Plain note", "second shelf")
    webmail.browser.click("#toolbar-menu a.delete")
    webmail.listed("Grüße aus Köln")
    account.wait_for("Trash", [NOTE])
    account.wait_for("INBOX", [GREETING])

    webmail.folder("Work")
    webmail.listed("A parcel")
    webmail.select("A parcel")
    webmail.browser.wait("the message", IDLE)
    webmail.command("mark", "flagged")
    webmail.browser.wait(
        "the flag",
        "return document.querySelector('#messagelist tr.flagged') && !rcmail.busy && !jQuery.active",
    )
    webmail.browser.screenshot(tmp_path / "work.png")
    webmail.log_out()
    account.wait_for_flag("Work", b"A parcel", b"\\Flagged")


def test_new_mail_and_a_draft(webmail: Webmail, account: Account, tmp_path: Path) -> None:
    webmail.listed(*LAST_FIRST)
    # Its first two requests run at once and forget each other's counts; from the third on it knows them.
    webmail.command("checkmail")
    webmail.browser.wait("the answer", IDLE)
    account.deliver(LATE)
    with account.imap() as client:
        client.select()
        client.store("1", "+FLAGS", r"(\Deleted)")
        client.expunge()
    webmail.command("checkmail")
    webmail.listed("Just now", "A parcel", "Grüße aus Köln")

    webmail.browser.open(webmail.roundcube.url + "?_task=mail&_action=compose")
    webmail.browser.wait("the form", IDLE)
    webmail.browser.type("#compose-subject", "Später weiter")
    webmail.browser.type("#composebody", "Erst die Arbeit, dann das Vergnügen.")
    webmail.command("savedraft")
    webmail.browser.wait("the draft", "return rcmail.env.draft_id && !rcmail.busy && !jQuery.active")
    webmail.browser.screenshot(tmp_path / "draft.png")
    webmail.browser.run("rcmail.compose_skip_unsavedcheck = true")
    ((head, body),) = account.on_server("Drafts")
    assert b"\\Seen" in head and b"Erst die Arbeit" in body
    webmail.browser.open(webmail.roundcube.url + "?_task=mail&_mbox=Drafts")
    webmail.listed("Später weiter")


def test_sorts_and_threads(webmail: Webmail, account: Account, tmp_path: Path) -> None:
    """Orders that the server makes, and conversations."""
    answer = NOTE.replace(b"<note@", b"<answer@").replace(b"Plain note", b"Re: Plain note")
    webmail.listed(*LAST_FIRST)
    webmail.browser.wait("no request under way", IDLE)  # or Roundcube does not take the command
    account.deliver(b"In-Reply-To: <note@example.org>\r\n" + answer)
    # Not by looking for new mail: its first requests run at once and may forget each other's counts.
    webmail.order("subject", "ASC")
    webmail.listed("A parcel", "Grüße aus Köln", "Plain note", "Re: Plain note")
    webmail.order("from", "DESC")
    webmail.listed("Grüße aus Köln", "A parcel", "Re: Plain note", "Plain note")
    webmail.order("size", "DESC")
    webmail.listed("A parcel", "Grüße aus Köln", "Re: Plain note", "Plain note")
    webmail.order("date", "ASC", threads=True)
    webmail.listed("Plain note", "Grüße aus Köln", "A parcel")
    webmail.command("expand-all")
    webmail.listed("Plain note", "Re: Plain note", "Grüße aus Köln", "A parcel")
    webmail.browser.screenshot(tmp_path / "threads.png")
    talk = webmail.roundcube.conversation()
    for said in ("UID SORT (SUBJECT)", "UID SORT (DISPLAYFROM)", "UID SORT (SIZE)", "UID THREAD REFS"):
        assert said in talk
