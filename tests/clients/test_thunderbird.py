"""Thunderbird without a screen: lists, reads, tags, moves and deletes; new mail appears through IDLE."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import PASSWORD, Account, Site, need
from tests.support.letters import LATE, LETTERS, NOTE, PARCEL, TABLE
from tests.support.thunderbird import PLAIN, STARTTLS, TLS, Thunderbird

pytestmark = [
    pytest.mark.process,
    pytest.mark.clients,
    pytest.mark.parametrize("site", ["ordinary-user"], indirect=True),
]

SECURITY = {"plain": ("imap", PLAIN), "starttls": ("imap", STARTTLS), "tls": ("imaps", TLS)}

OPEN = """
server.performExpand(null);
return true;
"""
SHOW_FOLDER = """
const folder = folderOf(args[0]);
if (!folder) return false;
pane.displayFolder(folder.URI);
return true;
"""
LISTED = """
const found = folderOf(args[0]) ? subjects(folderOf(args[0])) : [];
return found.length == args[1] && found;
"""
IS_LISTED = "return JSON.stringify(subjects(folderOf(args[0]))) == JSON.stringify(args[1])"
# Select a message in the list on the screen, and what is shown of it: subject and names of attachments.
READ = """
const view = pane.gDBView;
const chosen = pane.threadTree.selectedIndex;
const subjectOf = row => view.getMsgHdrAt(row).mime2DecodedSubject;
if (!view || chosen < 0 || subjectOf(chosen) != args[0]) {
    for (let row = 0; row < (view?.rowCount ?? 0); row++) {
        if (subjectOf(row) == args[0]) pane.threadTree.selectedIndex = row;
    }
    return null;
}
const message = tabmail.currentAboutMessage;
const text = message?.document.getElementById("messagepane")?.contentDocument?.body?.textContent ?? "";
if (!message?.msgLoaded || !text.includes(args[1])) return null;
return [message.gMessage.mime2DecodedSubject, message.currentAttachments.map(attachment => attachment.name)];
"""
CHOOSE_NONE = "pane.threadTree.selectedIndex = -1; return true"
ATTACHMENT = """
const [attachment] = tabmail.currentAboutMessage.currentAttachments;
const response = await attachment.fetchAttachment();
return Array.from(new Uint8Array(response));
"""
COMMAND = "pane.commandController.doCommand(args[0]); return true"
MOVE = "pane.commandController.doCommand('cmd_moveMessage', folderOf(args[0])); return true"
MARKED = """
const header = [...folderOf(args[0]).messages].find(one => one.mime2DecodedSubject == args[1]);
return header.isRead && header.isFlagged && header.getStringProperty("keywords") == args[2];
"""
SEARCH = """
const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folderOf(args[0]));
const term = session.createTerm();
const value = term.value;
value.attrib = Ci.nsMsgSearchAttrib.Body;
value.str = args[1];
term.attrib = Ci.nsMsgSearchAttrib.Body;
term.op = Ci.nsMsgSearchOp.Contains;
term.value = value;
session.appendTerm(term);
return new Promise(resolve => {
    const found = [];
    session.registerListener({
        onSearchHit: header => found.push(header.mime2DecodedSubject),
        onSearchDone: () => resolve(found),
        onNewSearch() {},
    }, Ci.nsIMsgSearchSession.allNotifications);
    session.search(null);
});
"""
STORE_FILE = """
const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
file.initWithPath(args[1]);
return new Promise(resolve => {
    MailServices.copy.copyFileMessage(file, folderOf(args[0]), null, false, Ci.nsMsgMessageFlags.Read, "", {
        onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() { return ""; },
        onStopCopy: status => resolve(status),
    }, null);
});
"""


@pytest.fixture
def account(site: Site) -> Account:
    """The three letters in INBOX; Work is subscribed, which is what Thunderbird lists."""
    made = site.account(empty=True)
    for body in LETTERS.values():
        made.deliver(body)
    with made.imap() as client:
        for folder in ("INBOX", "Work", "Trash"):
            client.create(folder)
            client.subscribe(folder)
    return made


@pytest.fixture(params=["plain"])
def thunderbird(account: Account, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Thunderbird]:
    need("thunderbird")
    port, security = SECURITY[request.param]
    with Thunderbird(tmp_path, getattr(account.site, port), security, account.name, PASSWORD) as running:
        open_inbox(running)
        yield running


def open_inbox(thunderbird: Thunderbird) -> None:
    thunderbird.run(OPEN)
    thunderbird.wait("INBOX in the list of folders", SHOW_FOLDER, "INBOX")


def read(thunderbird: Thunderbird, subject: str, text: str) -> list[str]:
    """Select a message of the list and wait until its text is there; the names of its attachments."""
    # Thunderbird may forget to load a message that is chosen while its folder opens: it is chosen again.
    for last in (False, False, True):
        try:
            shown: tuple[str, list[str]] = thunderbird.wait(
                f"the text of {subject}", READ, subject, text, seconds=40
            )
            break
        except AssertionError:
            if last:
                raise
            thunderbird.run(CHOOSE_NONE)
    assert shown[0] == subject
    return shown[1]


@pytest.mark.parametrize("thunderbird", SECURITY, indirect=True)
def test_lists_and_reads(thunderbird: Thunderbird, account: Account, tmp_path: Path) -> None:
    assert thunderbird.wait("the list", LISTED, "INBOX", 3) == sorted(LETTERS)
    assert read(thunderbird, "Plain note", "second shelf") == []
    assert read(thunderbird, "Grüße aus Köln", "Schöne Grüße vom Flüßchen") == []
    assert read(thunderbird, "A parcel", "table is attached") == ["table.bin"]
    assert bytes(thunderbird.run(ATTACHMENT)) == TABLE
    thunderbird.driver.screenshot(tmp_path / "read.png")
    for subject in (b"Plain note", b"=?utf-8?B?R3", b"A parcel"):
        account.wait_for_flag("INBOX", subject, b"\\Seen")


def test_idle_and_what_others_change(thunderbird: Thunderbird, account: Account, tmp_path: Path) -> None:
    thunderbird.wait("the list", LISTED, "INBOX", 3)
    read(thunderbird, "Plain note", "second shelf")
    account.deliver(LATE)
    thunderbird.wait("new mail, unasked", LISTED, "INBOX", 4)
    read(thunderbird, "Just now", "bus is late")
    thunderbird.driver.screenshot(tmp_path / "idle.png")
    with account.imap() as client:
        client.select()
        client.store("2", "+FLAGS", r"(\Seen \Flagged $label1)")
        client.store("1", "+FLAGS", r"(\Deleted)")
        client.expunge()
    left = thunderbird.wait("a message less, unasked", LISTED, "INBOX", 3)
    assert left == ["A parcel", "Grüße aus Köln", "Just now"]
    thunderbird.wait("flags, unasked", MARKED, "INBOX", "Grüße aus Köln", "$label1")


def test_flags_moves_deletes_and_stores(thunderbird: Thunderbird, account: Account, tmp_path: Path) -> None:
    thunderbird.wait("the list", LISTED, "INBOX", 3)
    read(thunderbird, "Grüße aus Köln", "Flüßchen")
    thunderbird.run(COMMAND, "cmd_markAsFlagged")
    thunderbird.run(COMMAND, "cmd_tag1")
    account.wait_for_flag("INBOX", b"=?utf-8?B?R3", b"\\Flagged")
    account.wait_for_flag("INBOX", b"=?utf-8?B?R3", b"$label1")

    read(thunderbird, "A parcel", "table is attached")
    thunderbird.run(MOVE, "Work")
    thunderbird.wait("a message less", LISTED, "INBOX", 2)
    thunderbird.wait("the message in Work", SHOW_FOLDER, "Work")
    thunderbird.wait("the message in Work", LISTED, "Work", 1)
    assert read(thunderbird, "A parcel", "table is attached") == ["table.bin"]
    account.wait_for("Work", [PARCEL])

    thunderbird.run(SHOW_FOLDER, "INBOX")
    read(thunderbird, "Plain note", "second shelf")
    thunderbird.run(COMMAND, "cmd_delete")
    assert thunderbird.wait("a message less", LISTED, "INBOX", 1) == ["Grüße aus Köln"]
    thunderbird.wait("the message in Trash", SHOW_FOLDER, "Trash")
    thunderbird.wait("the message in Trash", LISTED, "Trash", 1)
    account.wait_for("Trash", [NOTE])
    thunderbird.driver.screenshot(tmp_path / "trash.png")

    assert thunderbird.run(SEARCH, "Work", "TABLE IS") == ["A parcel"]
    assert thunderbird.run(SEARCH, "Work", "no such word") == []
    (tmp_path / "late.eml").write_bytes(LATE)
    assert thunderbird.run(STORE_FILE, "Work", str(tmp_path / "late.eml")) == 0
    account.wait_for("Work", [PARCEL, LATE])
    account.wait_for_flag("Work", b"Just now", b"\\Seen")


@pytest.mark.parametrize("condstore", [False, True], ids=["flags of all", "condstore"])
def test_comes_back_later(account: Account, tmp_path: Path, condstore: bool) -> None:
    """A second run, with what the first one kept: it finds what changed meanwhile."""
    need("thunderbird")
    port = account.site.imap
    with Thunderbird(tmp_path, port, PLAIN, account.name, PASSWORD, condstore=condstore) as first:
        open_inbox(first)
        first.wait("the list", LISTED, "INBOX", 3)
    with account.imap() as client:
        client.select()
        client.store("2", "+FLAGS", r"(\Seen \Flagged $label1)")
        client.store("1", "+FLAGS", r"(\Deleted)")
        client.expunge()
    account.deliver(LATE)
    with Thunderbird(tmp_path, port, PLAIN, account.name, PASSWORD, condstore=condstore) as second:
        open_inbox(second)
        left = ["A parcel", "Grüße aus Köln", "Just now"]
        second.wait("what is left and what is new", IS_LISTED, "INBOX", left)
        second.wait("flags", MARKED, "INBOX", "Grüße aus Köln", "$label1")
        assert read(second, "Just now", "bus is late") == []
