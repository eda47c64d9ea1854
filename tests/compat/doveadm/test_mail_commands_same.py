"""Commands on mail: the same output, complaints and status as Debian's doveadm, and the same mail afterwards.

What only reads runs on one store. What changes something runs on two copies of it: Dovecot on one, ours on
the other; then Dovecot tells what is in both.
"""

import imaplib
import re
import shlex
import shutil
from collections.abc import Iterator

import pytest

from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.mailgen import generate
from tests.support.serverconf import ServerDir
from tests.support.twodoveadms import Done, ours_forked, theirs

pytestmark = [
    pytest.mark.compat,
    pytest.mark.process,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "-"),
]

MESSAGES = 30
BINARY = 2  # the UID of a message with random octets
FORMATS = ("flow", "tab", "table", "pager", "json")
LEFT, RIGHT = "lefty", "right"  # as long as each other: tables are as wide as names
USERS = ("alice", "bob", "carol@example.org", LEFT, RIGHT)
SPECIAL = (
    b"Subject: =?utf-8?q?h=C3=A4?= x\r\n  folded\r\n"
    b'From: =?utf-8?q?J=C3=B6?= B <a@b.c>, "Q, R" <q@r.s>, undisclosed: g@h.i;\r\n'
    b"Date: Tue, 1 Jul 2003 10:52:37 +0230\r\nMIME-Version: 1.0\r\nX-A: 1\r\nx-a:  2\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe=20\r\n=3D\r\n--b\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n"
)
EVERY_FIELD = (
    "user mailbox mailbox-guid seq uid guid flags hdr body body.preview body.snippet text text.utf8"
    " size.physical size.virtual date.received date.sent date.saved date.received.unixtime"
    " date.sent.unixtime date.saved.unixtime imap.envelope imap.body imap.bodystructure pop3.uidl pop3.order"
    " refcount storageid hdr.subject hdr.subject.utf8 hdr.from.address hdr.from.address_name"
    " hdr.from.address_name.utf8 hdr.nope hdr.nope.address hdr.X-A body. body.1 body.1.mime body.2"
    " body.header body.text body.9 binary. binary.1 binary.2"
)
QUERIES = r"""
all
uid 1 or uid 2
uid 1:3 uid 2 or uid 9
( uid 1:2 ) or uid 9
uid 1 or ( uid 2 uid 3 )
not ( uid 1:20 or uid 25 ) mailbox INBOX
not not uid 3
seen
unseen flagged
answered or keyword $Forwarded
unkeyword $Forwarded 1:10 mailbox INBOX
keyword NoSuch
since 2020-10-01
before 1-Oct-2020
on 2020-09-14
since 1600500000
before 1600500000
since 1week
savedsince 1h
savedbefore 2weeks
savedon 2020-09-14
sentbefore 2004-01-01
sentsince 1-Jan-2004
senton 2003-07-01
larger 1k
smaller 2kB
larger 10M
larger 1000
from example.com
from "ada brook"
subject h
header subject ""
header x-a 2
header message-id example
body lantern
text LANTERN
to holm
cc nobody
guid nothing
* mailbox INBOX
2:5 mailbox Work
5:* mailbox INBOX
uid 5:*
uid *
1:5 uid 3:9 mailbox INBOX
older 100
younger 1000000000
fuzzy seen
deleted
draft
undeleted undraft unanswered unflagged
x-real-uid 3
savedatesupported
old
mailbox Work
mailbox work
mailbox W*
mailbox %
mailbox "Work/Plans 2026" or mailbox INBOX
not mailbox INBOX
mailbox nope all
mailbox INBOX mailbox Work
mailbox inbox uid 1
x-mailbox INBOX
( mailbox INBOX uid 1 ) or ( mailbox Work uid 2 )
mailbox-guid 00000000000000000000000000000000
-- uid 1
( )
( uid 1
uid 1 )
)
not
or
uid 1 or
or uid 1 uid 2
uid 1 or uid 2 uid 3
not or uid 1 uid 2
foo
uid
uid x
uid 1,
0
since
since monday
since 3x
since 2weekss
larger 3x
smaller x
older x
older 0
modseq x
x-real-uid x
x-size 3
header subject
mailbox
emailid x
""".strip().splitlines()
READING = r"""
search
search -Z
search -u
search -u nobody all
search -u *@example.org all
search -u ?ob all
search -A uid 1
search --user alice uid 1
search -F {root}/list uid 1
search -F /nonexistent uid 1
fetch -u alice
fetch -u alice uid
fetch -u alice foo all
fetch -u alice "uid body.x" all
fetch -u alice hdr.from.nope uid 1
fetch -u alice "" all
fetch -u alice "UID Flags" uid 1:3
fetch -u alice "uid hdr.subject" mailbox nope
fetch -u alice uid since x
fetch -A "uid flags" uid 1
mailbox
mailbox foo
mailbox status
mailbox status -u alice
mailbox status -u alice messages
mailbox status -u alice foo INBOX
mailbox status -u alice "" INBOX
mailbox status -u alice "unseen messages uidnext" INBOX
mailbox status -u alice messages nope
mailbox status -u alice messages INBOX nope
mailbox status -u alice "messages uidvalidity" Work/*
mailbox status -u alice -f messages -f vsize INBOX
mailbox status -t -u alice "messages vsize" *
mailbox status -t -u alice uidnext INBOX
mailbox status -u nobody all INBOX
mailbox list -u alice -s
mailbox list -u alice nope
mailbox list -u alice INBOX
mailbox list -u alice I*
mailbox list -u alice -7 *e2*
mailbox list -u alice -s Nothing
mailbox list -Z
mailbox path -u alice INBOX
mailbox path -u alice Work
mailbox path -u alice nope
mailbox path -u alice -t control Work
mailbox path -u alice -t index Work
mailbox path -u alice -t index-private Work
mailbox path -u alice -t nothing Work
mailbox path -u alice
mailbox mutf7 Ä a&b &AMQ-
mailbox mutf7 -8 &AMQ- a
mailbox mutf7 -8 Ä
mailbox mutf7
mailbox mutf7 -z
quota get -u alice
quota get -A
quota get x
quota recalc -u alice
quota recalc -u nobody
purge -u alice
purge -u alice x
altmove -u alice all
altmove -u alice
index -u alice INBOX
index -u alice *
index -u alice nope
index -u alice -n x INBOX
index -u alice -n 1 INBOX
index -u alice
force-resync -u alice INBOX
force-resync -u alice *
force-resync -u alice nope
force-resync -u alice
nonsense
flags
help -x
help a b
exec
""".strip().splitlines()
CHANGING = r"""
flags add -u {user} "\Seen fresh" uid 1:5
flags add -u {user} "\Flagged" mailbox Work
flags remove -u {user} "\Seen $Forwarded" mailbox INBOX
flags replace -u {user} "\Draft one two" mailbox INBOX uid 2:4
flags add -u {user} "\Bad" all
flags add -u {user} "\Recent" all
flags add -u {user} "a(b" all
flags add -u {user} x
flags replace -u {user} "" uid 1:3
expunge -u {user} all
expunge -u {user} mailbox INBOX
expunge -u {user} mailbox INBOX seen
expunge -u {user} mailbox Work or mailbox INBOX
expunge -u {user} ( mailbox Work 1 ) or ( mailbox INBOX 2:3 )
expunge -u {user} ( mailbox Work ) or ( mailbox INBOX 2:3 )
expunge -u {user} uid 1 or mailbox INBOX
expunge -u {user} not mailbox INBOX all
expunge -u {user} mailbox nope all
expunge -u {user} -d mailbox Work all
expunge -u {user}
copy -u {user} Work mailbox INBOX 1:3
copy -u {user} nope mailbox INBOX 1:3
copy -u {user} Work
copy -u {user} Work user alice mailbox INBOX uid 4:6
copy -u {user} Work mailbox nope all
move -u {user} Work mailbox nope all
move -u {user} Work mailbox INBOX unseen
move -u {user} Work all
move -u {user} Work mailbox INBOX
move -u {user} nope mailbox INBOX 1
move -u {user} INBOX mailbox Work all
mailbox create -u {user} New New/Below
mailbox create -u {user} -s Fresh Fresh
mailbox create -u {user} INBOX
mailbox create -u {user} Work//x
mailbox create -u {user} Node/
mailbox create -u {user} -g zz X
mailbox create -u {user} -g 6b6fa231d9a9056b581a000083ecc375 X
mailbox update -u {user} --uid-validity 77 Work
mailbox update -u {user} --min-next-uid 1000 --mailbox-guid 6b6fa231d9a9056b581a000083ecc375 Work
mailbox update -u {user} -V 78 -N 100 Empty
mailbox update -u {user} -N 2 Work
mailbox update -u {user} --uid-validity x Work
mailbox update -u {user} nope
mailbox update -u {user}
mailbox update -u {user} Work Empty
mailbox create -u {user}
mailbox delete -u {user} Work
mailbox delete -u {user} nope Work
mailbox delete -u {user} -r Work
mailbox delete -u {user} -s Work
mailbox delete -u {user} -e Work "Work/Plans 2026"
mailbox delete -u {user} -e Empty
mailbox rename -u {user} Work Play
mailbox rename -u {user} -s Work Play
mailbox rename -u {user} nope Play
mailbox rename -u {user} Work INBOX
mailbox rename -u {user} Work Empty
mailbox rename -u {user} Work
mailbox subscribe -u {user} Work nope
mailbox unsubscribe -u {user} Empty nope
mailbox subscribe -u {user}
deduplicate -u {user} mailbox INBOX all
deduplicate -m -u {user} mailbox Twice all
deduplicate -u {user}
save -u {user}
save -u {user} -m Work
save -u {user} -m nope
save -u {user} -m INBOX {root}/message
save -u {user} {root}/nothing
import -u {user} maildir:{root}/mail/alice/Maildir Imported mailbox INBOX uid 1:3
import -u {user} -s maildir:{root}/mail/alice/Maildir "" mailbox Work all
import -u {user} maildir:/nonexistent Imported all
import -u {user} maildir:{root}/mail/alice/Maildir
""".strip().splitlines()


def _conf(place: ServerDir) -> str:
    file = place.root / "users"
    file.write_text("".join(f"{name}:{{PLAIN}}wonder::::{place.home(name)}\n" for name in USERS))
    file.chmod(0o644)
    (place.root / "list").write_text("alice\nbob\nnobody\n")
    (place.root / "message").write_bytes(b"From: x@example.org\nSubject: from a file\n\ntext\n")
    return f"""\
passdb {{
  driver = passwd-file
  args = {file}
}}
userdb {{
  driver = passwd-file
  args = {file}
}}
mail_plugins = quota
plugin {{
  quota = maildir:User quota
  quota_rule = *:storage=10M
}}
namespace inbox {{
  separator = /
}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[DovecotInstance]:
    place = ServerDir.make()
    with DovecotInstance(_conf(place), static_users=False, place=place) as running:
        _fill(running)
        yield running


def _fill(server: DovecotInstance) -> None:
    """alice has mail of all kinds, bob a little; no message is recent."""
    flags = (r"(\Seen)", "($Forwarded)", "", r"(\Flagged \Answered)", "(Junk $Forwarded \\Seen)")
    client = imaplib.IMAP4("127.0.0.1", server.imap, timeout=60)
    client.login("alice", "wonder")
    for name in ("Work", '"Work/Plans 2026"', "Empty", "Twice", '"Entw&APw-rfe2"'):
        client.create(name)
        client.subscribe(name)
    mails = [SPECIAL, *generate(seed=6, count=MESSAGES)]
    for number, mail in enumerate(mails):
        when = imaplib.Time2Internaldate(1_600_000_000 + number * 43_200)
        client.append("INBOX" if number < 25 else "Work", flags[number % 5], when, mail)
        if number < 3:
            client.append("Twice", "", when, mails[1 + number % 2])
    for name in ("INBOX", "Work", "Twice"):
        client.select(name)
    client.logout()
    with imaplib.IMAP4("127.0.0.1", server.imap, timeout=60) as other:
        other.login("bob", "wonder")
        other.append("INBOX", "", imaplib.Time2Internaldate(1_600_000_000), SPECIAL)
        other.select("INBOX")


def _normalized(done: Done, user: str) -> Done:
    """Without what no two runs have in common."""
    name = user.encode()
    return Done(done.status, done.out.replace(name, b"<user>"), done.err.replace(name, b"<user>"))


def _compare(mine: Done, other: Done) -> None:
    assert (mine.status, mine.out, mine.err) == (other.status, other.out, other.err)


@pytest.mark.parametrize("line", QUERIES)
def test_the_same_messages_are_found(server: DovecotInstance, line: str) -> None:
    words = ["search", "-u", "alice", *shlex.split(line)]
    mine, other = (run(server.conf, *words) for run in (ours_forked, theirs))
    # Dovecot walks through the mailboxes as readdir has them.
    assert sorted(mine.out.splitlines()) == sorted(other.out.splitlines())
    assert (mine.status, mine.err) == (other.status, other.err)


@pytest.mark.parametrize("line", READING)
def test_the_same_answers(server: DovecotInstance, line: str) -> None:
    words = shlex.split(line.replace("{root}", str(server.place.root)))
    if line in OVERVIEWS:
        mine, other = (run(server.conf, *words) for run in (ours_forked, theirs))
        assert (mine.status, mine.out) == (other.status, other.out)
        assert set(mine.err.splitlines()[:1]) == set(other.err.splitlines()[:1])
        return
    if line in UNORDERED:
        mine, other = (run(server.conf, *words) for run in (ours_forked, theirs))
        assert sorted(mine.out.splitlines()) == sorted(other.out.splitlines())
        return
    _compare(*(run(server.conf, *words) for run in (ours_forked, theirs)))


# Dovecot has them in the order of its file.
UNORDERED = ("mailbox list -u alice -s",)
# Lists of commands: Dovecot has some that are not here.
OVERVIEWS = ("mailbox", "mailbox foo", "nonsense")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "line",
    [
        'mailbox status -u alice "messages uidnext uidvalidity unseen vsize guid" INBOX',
        'mailbox status -A "messages vsize" INBOX',
        "mailbox list -u alice -s W*",
        "mailbox list -A INBOX",
        "search -u alice mailbox INBOX",
        "search -A mailbox INBOX",
        "search -u alice mailbox Empty",
        "quota get -u alice",
        "quota get -A",
        'fetch -u alice "uid flags hdr.subject size.virtual" mailbox INBOX uid 1:20',
        'fetch -A "uid guid" mailbox INBOX uid 1:3',
        'fetch -u alice "uid hdr" mailbox INBOX uid 1:2',
    ],
)
def test_each_format(server: DovecotInstance, form: str, line: str) -> None:
    for options in (("-f", form), ("-h", "-f", form)):
        words = [*options, *shlex.split(line)]
        _compare(*(run(server.conf, *words) for run in (ours_forked, theirs)))


@pytest.mark.parametrize("uid", [1, 2, 5, 9, 14, 20])
@pytest.mark.parametrize("form", ["pager", "json"])
def test_every_field(server: DovecotInstance, form: str, uid: int) -> None:
    if form == "json" and uid == BINARY:
        pytest.skip("what is no UTF-8 in random octets is another question of JSON")
    words = ["-f", form, "fetch", "-u", "alice", EVERY_FIELD, "mailbox", "INBOX", "uid", str(uid)]
    _compare(*(run(server.conf, *words) for run in (ours_forked, theirs)))


# What goes wrong is told in other words.
OTHER_WORDS = ("save -u {user} {root}/nothing", "import -u {user} maildir:/nonexistent Imported all")


def _mail_of(server: DovecotInstance, user: str, line: str) -> tuple[list[bytes], ...]:
    """What is there: messages as Dovecot sees them, what clients know mailboxes by, subscriptions."""
    if "update" in line:
        theirs(server.conf, "force-resync", "-u", user, "*")  # its index has its own UIDVALIDITY
    fields = "mailbox uid flags hdr.subject.utf8 date.received.unixtime size.virtual"
    rows = theirs(server.conf, "-f", "tab", "fetch", "-u", user, fields, "all").out
    maildir = server.place.maildir(user)
    known = "uidvalidity uidnext" if "update" not in line else "uidvalidity uidnext guid"
    mailboxes = theirs(server.conf, "-f", "tab", "mailbox", "status", "-u", user, known, "*").out.splitlines()
    subscriptions = (maildir / "subscriptions").read_bytes().splitlines()
    return sorted(_settled(rows).splitlines()), sorted(map(_settled, mailboxes)), sorted(subscriptions)


def _settled(text: bytes) -> bytes:
    """Without what is recent, which Dovecot keeps in its index, and without the time of right now."""
    rows = [row.split(b"\t") for row in text.split(b"\n")]
    for row in rows:
        if len(row) == 6:  # keywords stand in the order in which the mailbox has got them
            row[2] = b" ".join(sorted(set(row[2].split()) - {b"\\Recent"}))
    return re.sub(rb"\b1[789]\d{8}\b", b"now", b"\n".join(map(b"\t".join, rows)))


@pytest.mark.parametrize("line", CHANGING)
def test_the_same_changes(server: DovecotInstance, line: str) -> None:
    place = server.place
    results, mails = [], []
    for user, run in ((LEFT, theirs), (RIGHT, ours_forked)):
        shutil.rmtree(place.home(user), ignore_errors=True)
        shutil.copytree(place.home("alice"), place.home(user))
        place.give_to_mail_user(place.home(user))
        words = shlex.split(line.replace("{user}", user).replace("{root}", str(place.root)))
        done = run(server.conf, *words, stdin=b"From: y@example.org\nSubject: given\n\nby a pipe\n")
        results.append(_normalized(done, user))
        mails.append(_mail_of(server, user, line))
    if line in OTHER_WORDS:
        assert all(done.err for done in results)
    else:
        _compare(results[1], results[0])
    assert mails[1] == mails[0]
