"""Mailboxes whose directories others named: what LIST shows can be opened, renamed and deleted."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.duel import OurImap

GOOD = (
    b"Entw&APw-rfe",
    b"A&-B",
    b"a b",
    b"a%b",
    b"a*b",
    b"a~b",
    b'"q"',
    b"a\\b",
    b"a{5}",
    b" ",
    b"&U,BTFw-",
    b"a(b)",
)
ODD = (
    "Entwürfe".encode(), b"Entw\xfcrfe", b"A&B", b"&AOQ", b"&AOQ-&AOQ-", b"&AGE-", b"&AGEA-", b"&2D0-",
    b"&3gA-", b"&AOR-", b"a\x01b", b"a\tb", b"a\nb", b"a\x7fb", b"&AAA-", b"x&AC8-y", b"x\xe2\x82",
    b"e\xcc\x81", b"Inbox", b"inbox",
)  # fmt: skip


@pytest.fixture
def imap(tmp_path: Path) -> Iterator[OurImap]:
    (tmp_path / "cur").mkdir()
    server = OurImap(tmp_path)
    for name in (*GOOD, *ODD):
        directory = os.path.join(os.fsencode(server.home), b"Maildir", b"." + name)
        for sub in (b"cur", b"new", b"tmp"):
            os.makedirs(os.path.join(directory, sub))
        with open(os.path.join(directory, b"cur/1600000000.M1.h:2,"), "wb") as file:
            file.write(b"Subject: x\n\n" + name.hex().encode() + b"\n")
    yield server
    server.close()


def listed(imap: OurImap) -> list[bytes]:
    """Names as LIST writes them, INBOX left out."""
    found = re.findall(rb'\* LIST \([^)]*\) "\." (.*)\r\n', imap.command(b'LIST "" *'))
    return [name for name in found if name != b"INBOX"]


def test_all_are_listed_in_seven_bits(imap: OurImap) -> None:
    names = listed(imap)
    assert len(names) == len(set(names)) == len(GOOD) + len(ODD)
    assert all(name.isascii() and b"{" not in name[:1] for name in names)


def test_all_can_be_opened(imap: OurImap) -> None:
    bodies = set()
    for name in listed(imap):
        imap.command(b"EXAMINE " + name)
        bodies.add(imap.command(b"FETCH 1 BODY.PEEK[TEXT]").split(b"\r\n")[1])
    assert bodies == {name.hex().encode() for name in (*GOOD, *ODD)}


def test_all_can_be_renamed_and_deleted(imap: OurImap) -> None:
    for number, name in enumerate(listed(imap)):
        imap.command(b"RENAME %b new%d" % (name, number))
    names = listed(imap)
    assert names and all(name.startswith(b"new") for name in names)
    for name in names:
        imap.command(b"DELETE " + name)
    assert listed(imap) == []
