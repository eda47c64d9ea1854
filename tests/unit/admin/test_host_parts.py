"""Parts of the commands about the host: masks, stories, what is told to auth."""

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context, Log
from pydovecot.admin.errors import AdminError
from pydovecot.admin.formatters import make
from pydovecot.admin.host import explain, logs, pw
from pydovecot.admin.host.ask_password import ask_new_password
from pydovecot.admin.host.auth_info import as_words, parse_info
from pydovecot.admin.host.kick import choose
from pydovecot.admin.host.sessions import Masks, Refused, Session, parse_masks
from pydovecot.admin.host.tail import Teller, lines_of
from pydovecot.admin.host.top import Row, summary
from pydovecot.base import wildcard
from pydovecot.event.event import Level
from pydovecot.runtime import instances
from pydovecot.settings.client import from_file


class Run:
    """A context that keeps what is printed."""

    def __init__(self, conf: Path | None = None, stdin: bytes = b"", form: str = "tab") -> None:
        self.out = io.BytesIO()
        self.said: list[str] = []
        self.context = Context(
            load_settings=lambda service: from_file(str(conf), service=service, protocol=service).view,
            log=Log(self.said.append),
            make_printer=lambda default: make(form or default, self.out.write, self.out.write),
            write=self.out.write,
            input=io.BytesIO(stdin),
        )

    @property
    def text(self) -> str:
        return self.out.getvalue().decode()


# -- masks

ALICE = Session("alice", "imap", "192.0.2.1", "11", 2)
BOB = Session("bob", "imap", "2001:db8::1", "12", 1)
SHARED = Session("carol", "imap", "192.0.2.9", "12", 1)


@pytest.mark.parametrize(
    ("words", "who"),
    [
        ([], [ALICE, BOB]),
        (["AL*"], [ALICE]),
        (["192.0.2.0/24"], [ALICE]),
        (["b?b", "2001:db8::/32"], [BOB]),
        (["alice", "10.0.0.0/8"], []),
        (["::/0"], [ALICE, BOB]),
        (["bad/99"], []),
    ],
)
def test_masks(words: list[str], who: list[Session]) -> None:
    masks = parse_masks(words)
    assert [one for one in (ALICE, BOB) if masks.fit(one)] == who


def test_masks_of_a_kind_exclude_each_other() -> None:
    with pytest.raises(Refused, match="Multiple username masks"):
        parse_masks(["a", "b"])
    with pytest.raises(Refused, match="Multiple network masks"):
        parse_masks(["10.0.0.1", "10.0.0.2"])


def test_a_process_with_others_is_noticed() -> None:
    assert choose([ALICE, BOB, SHARED], Masks("alice")) == ({"11": {"alice"}}, set())
    assert choose([ALICE, BOB, SHARED], Masks("bob")) == ({"12": {"bob", "carol"}}, {"carol"})
    assert choose([ALICE, BOB, SHARED], Masks("nobody")) == ({}, set())


@given(st.text("ab*?[.", max_size=8), st.text("abAB[.", max_size=8))
def test_wildcards(mask: str, text: str) -> None:
    def slow(mask: str, text: str) -> bool:
        if not mask:
            return not text
        if mask[0] == "*":
            return any(slow(mask[1:], text[at:]) for at in range(len(text) + 1))
        return bool(text) and mask[0] in ("?", text[0].lower()) and slow(mask[1:], text[1:])

    assert wildcard.matches(text, mask) == slow(mask.lower(), text.lower())


# -- order of rows and text


def test_text_comes_after_the_rows_unless_somebody_watches() -> None:
    for watched, wanted in ((False, "a\n1\nlast\n"), (True, "a\nlast\n1\n")):
        run = Run()
        run.context.watched = watched
        printer = run.context.printer()
        printer.header("a")
        run.context.print("last")
        printer.value(1)
        run.context.flush()
        assert sorted(run.text) == sorted(wanted)
        assert run.text.endswith("last\n") is not watched


# -- auth


def test_auth_info() -> None:
    words = ["rip=192.0.2.1", "lport=143", "forward_a=1", "forward_b=x\ty", "session=s", "nologin", ""]
    assert as_words(parse_info(words)) == [
        "service=doveadm", "rip=192.0.2.1", "lport=143", "session=s", "nologin",
        "forward_fields=a=1\tb=x\x01ty",
    ]  # fmt: skip
    for bad in ("rip=x", "lip=1.2.3", "lport=0", "rport=70000"):
        with pytest.raises(AdminError):
            parse_info([bad])


def conf_with(tmp_path: Path, *passdbs: str) -> Path:
    conf = tmp_path / "dovecot.conf"
    users = tmp_path / "users"
    users.write_text("alice:{PLAIN}wonder:1000:1000::/home/alice::allow_nets=192.0.2.0/24 userdb_token=t0p\n")
    sections = "".join(f"passdb {{\n{one}\n}}\n" for one in passdbs)
    conf.write_text(
        f"first_valid_uid = 1\nssl = no\n{sections}"
        f"passdb {{\ndriver = passwd-file\nargs = {users}\n}}\n"
        f"userdb {{\ndriver = passwd-file\nargs = {users}\n}}\nbase_dir = {tmp_path}\n"
    )
    return conf


def explained(conf: Path, **values: str) -> tuple[int, str]:
    run = Run(conf)
    status = explain.run(run.context, Arguments(dict(values)))
    return status, run.text


def test_explain_a_user_who_may(tmp_path: Path) -> None:
    status, text = explained(conf_with(tmp_path), user="alice", ip="192.0.2.7", password="wonder")
    assert status == 0
    assert f"1. passwd-file {tmp_path}/users" in text
    assert "-> yes" in text
    assert "home=/home/alice" in text
    assert "wonder" not in text
    assert "t0p" not in text


@pytest.mark.parametrize(
    ("values", "status", "why"),
    [
        ({"user": "alice", "ip": "192.0.2.7", "password": "bad"}, 77, "password is not the stored one"),
        ({"user": "alice", "ip": "10.0.0.1", "password": "wonder"}, 77, "allow_nets check failed"),
        ({"user": "nobody"}, 67, "no database knows this user"),
    ],
)
def test_explain_a_refusal(tmp_path: Path, values: dict[str, str], status: int, why: str) -> None:
    found, text = explained(conf_with(tmp_path), **values)
    assert found == status or (found, status) == (67, 77)
    assert why in text
    assert "wonder" not in text


def test_explain_names_the_order(tmp_path: Path) -> None:
    deny = tmp_path / "deny"
    deny.write_text("alice\n")
    conf = conf_with(tmp_path, f"driver = passwd-file\ndeny = yes\nargs = {deny}")
    status, text = explained(conf, user="alice")
    assert status == 77
    assert f"1. passwd-file {deny} (deny)" in text
    assert f"2. passwd-file {tmp_path}/users" in text
    assert "-> refused: the user is disabled, or found in a database with deny = yes" in text


# -- passwords


def test_new_passwords_are_asked_until_they_agree() -> None:
    run = Run(stdin=b"a\nb\nc\nc\n")
    assert ask_new_password(run.context) == b"c"
    assert run.said == ["Error: Passwords don't match!\n"]


def test_every_scheme_makes_what_it_believes() -> None:
    from pydovecot.password.schemes import SCHEMES

    for scheme in SCHEMES:
        if SCHEMES[scheme].costly and scheme not in ("SHA512-CRYPT", "BLF-CRYPT"):
            continue
        if scheme == "PLAIN-TRUNC":
            continue  # it is made by hand: its length goes before it
        run = Run()
        pw.run(run.context, Arguments(raw=["-s", scheme, "-p", "x", "-u", "a@b", "-V", "-r", "4"]))
        assert run.text.endswith(" (verified)\n")


# -- logs


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (("/a", "", ""), {level: "/a" for level in logs.LEVELS}),
        (("/a", "/b", ""), {Level.DEBUG: "/b", Level.INFO: "/b", **dict.fromkeys(logs.LEVELS[2:], "/a")}),
        (("syslog", "", "/d"), {Level.DEBUG: "/d"}),
        (("", "", ""), {}),
    ],
)
def test_files_of_levels(paths: tuple[str, str, str], wanted: dict[Level, str]) -> None:
    assert logs.configured(*paths) == wanted


STORY = """\
Nov 24 16:02:11 imap-login: Info: Login: user=<alice>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, \
mpid=5, TLS, session=<s1>
Nov 24 16:02:12 imap(alice)<5><s1>: Error: Mailbox X: opening failed
Nov 24 16:02:15 mail dovecot: imap(alice)<5><s1>: Info: Disconnected: Logged out in=9 out=99 deleted=0
Nov 24 16:02:20 pop3-login: Info: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): \
user=<bob>, method=PLAIN, rip=192.0.2.9, lip=192.0.2.1, session=<s2>
Nov 24 16:02:21 imap-login: Info: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, \
rip=::1
Nov 24 16:02:22 lmtp(carol)<7><s3>: Info: msgid=<1@x>: saved mail to INBOX
Nov 24 16:02:23 imap(5): Warning: Killed with signal 15
Nov 24 16:02:24 doveadm(192.0.2.1): Info: doveadm: - - "GET /" 200 5
nonsense
""".splitlines()


def test_stories() -> None:
    teller = Teller()
    assert [told for told in map(teller.line, STORY) if told] == [
        "16:02:11 alice                imap from 192.0.2.7 begins (PLAIN, TLS)  #1",
        "16:02:12 alice                imap error: Mailbox X: opening failed  #1",
        "16:02:15 alice                imap ends after 4 s: Disconnected: Logged out  #1",
        "16:02:20 bob                  refused: auth failed, 1 attempts in 2 secs, pop3 from 192.0.2.9",
        "16:02:22 carol                lmtp: msgid=<1@x>: saved mail to INBOX",
    ]
    assert len([told for told in map(Teller("C*").line, STORY) if told]) == 1


@given(st.text(max_size=200))
def test_any_line_is_survived(text: str) -> None:
    Teller().line("Nov 24 16:02:11 imap-login: Info: " + text)
    Teller().line(text)


def test_a_log_is_followed_through_rotations(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("1\n2\n3\n")

    def add(text: str) -> None:
        with path.open("a") as file:
            file.write(text)

    turns = iter(
        [
            lambda: add("4\n5"),
            lambda: add("!\n"),
            lambda: (path.rename(tmp_path / "old"), path.write_text("6\n")),
            lambda: path.write_text(""),
            lambda: path.write_text("7\n"),
        ]
    )
    seen: list[str] = []

    class EndError(Exception):
        pass

    def idle() -> None:
        turn = next(turns, None)
        if turn is None:
            raise EndError
        turn()

    with pytest.raises(EndError):
        for line in lines_of(str(path), 2, follow=True, idle=idle):
            seen.append(line)
    assert seen == ["2", "3", "4", "5!", "6", "7"]


def test_without_follow_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a\nb\x1b[2J\n")
    assert list(lines_of(str(path), 5, follow=False, idle=lambda: None)) == ["a", "b?[2J"]


def test_summary_of_top() -> None:
    rows = [Row("imap", 1, 1.5, 1 << 20, 2, "alice@::1 bob@::1"), Row("auth", 2, 0.0, 3 << 20, 0, "")]
    assert summary(rows) == "2 processes, 2 sessions of 2 users, cpu 1.5%, memory 4M"
    assert rows[0].cells() == ("imap", "1", "1.5", "1.0M", "2", "alice@::1 bob@::1")


# -- instances


def test_forget_an_instance(tmp_path: Path) -> None:
    state = str(tmp_path)
    instances.record(state, "one", "/run/one", "/etc/one.conf")
    instances.record(state, "two", "/run/two", "/etc/two.conf")
    assert not instances.forget(state, "three")
    assert instances.forget(state, "one")
    assert [one.name for one in instances.read(state)] == ["two"]
    assert instances.forget(state, "/run/two")
    assert instances.read(state) == []


def test_imports_of_a_short_command() -> None:
    """Python's start is most of its time: what a command does not need is not loaded."""
    import subprocess

    code = (
        "import sys; from pydovecot.cli.doveadm import main; main(['pw', '-s', 'PLAIN', '-p', 'x']);"
        "print(*(name for name in ('rich', 'psutil', 'asyncio', 'apsw', 'OpenSSL') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout == "{PLAIN}x\n\n"
