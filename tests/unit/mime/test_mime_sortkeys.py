"""mime.sortkeys and mime.msgid: what SORT and THREAD compare of a header."""

import pytest

from pydovecot.mime import msgid, sortkeys

IDENTIFIERS = [
    (b"<a@b>", [b"a@b"]),
    (b"<a @b>\n <c@d>", [b"a@b", b"c@d"]),
    (b"a@b", []),
    (b"<a>", []),
    (b"<a@b", []),
    (b"<x <a@b>", [b"x<a@b"]),
    (b"said on Monday <a@b> (again)", [b"a@b"]),
    (b'"Ann" <a@b>', [b"a@b"]),
    (b'<"a b"@c> <d@e>', [b"a b@c", b"d@e"]),
    (b"<a(c)@b>", [b"a@b"]),
    (b"<(x <a@b>", [b"a@b"]),
    (b'<"x> <c@d>', [b"c@d"]),
    # What a broken one leaves goes in front of the next, as in Dovecot.
    (b'<"z"@> <"a"@b>', [b"z@a@b"]),
    (b'<"z"@> <a@b> <"c"@d>', [b"a@b", b"c@d"]),
    (b"<a\0@b>", ["a\ufffd@b".encode()]),
    (b"", []),
]


@pytest.mark.parametrize(("value", "want"), IDENTIFIERS)
def test_identifiers(value: bytes, want: list[bytes]) -> None:
    assert msgid.find_all(value) == want


def test_a_long_list_of_identifiers() -> None:
    for form in (b"<%d@x>", b'<"%d"@x>', b"<%d(c)@x>", b'<"%d@x'):
        value = b" ".join(form % number for number in range(20_000))
        assert len(msgid.find_all(value)) == (0 if form.endswith(b"x") else 20_000)


LINKS = [
    (b"Message-ID: <a@x>\nReferences: <b@x> <c@x>\nIn-Reply-To: <d@x>\n", [b"a@x", b"b@x", b"c@x"]),
    (b"Message-ID: <a@x>\nReferences: none\nIn-Reply-To: <d@x> <e@x>\n", [b"a@x", b"d@x"]),
    (b"REFERENCES:<b@x>\r\n <c@x>\r\n\r\nMessage-ID: <a@x>\r\n", [b"a@x", b"b@x", b"c@x"]),
    (b"Message-ID: <a@x> <b@x>\nMessage-ID: <c@x>\n", [b"a@x"]),
    (b"Message-ID: none\nX-References: <b@x>\n", [b""]),
    (b"", [b""]),
]


@pytest.mark.parametrize(("block", "want"), LINKS)
def test_links(block: bytes, want: list[bytes]) -> None:
    assert sortkeys.links(block) == want


SUBJECTS = [
    (b"Subject: Re: [list] Hello  World (fwd)\n", "HELLO WORLD", True),
    (b"Subject: =?utf-8?q?h=C3=A9llo?=\r\n\r\n", "HE\u0301LLO", False),
    (b"X: y\nsubject : a\n b\nSubject: c\n", "A B", False),
    # A blank before the first line end stays, as in Dovecot.
    (b"Subject: a \n b \n c\n", "A  B C", False),
    (b"Subject: \n \n a\n", "A", False),
    (b"Subject: =?utf-8?q?a=00b?=\n", "A", False),
    (b"Subject:\nX: y\n", "", False),
    (b"Subjects: a\n", "", False),
]


@pytest.mark.parametrize(("block", "text", "is_reply"), SUBJECTS)
def test_base_subjects(block: bytes, text: str, is_reply: bool) -> None:
    assert sortkeys.base_subject(block) == (text, is_reply)


ADDRESSES = [
    (b"From: Zo\xc3\xab <z@x>, b@y\n", "Z", "ZOE\u0308"),
    (b'From: "" <Bob@X.org>\n', "BOB", "BOB@X.ORG"),
    (b"From: bob@x (The Bob)\n", "BOB", "THE BOB"),
    (b"From: =?utf-8?q?=C3=89va?= <e@x>\n", "E", "E\u0301VA"),
    (b"From: team: a@b, c@d;\n", "TEAM", "TEAM"),
    (b"From: nobody\n", "NOBODY", "NOBODY@MISSING_DOMAIN"),
    (b"From: =?utf-8?q??= <e@x>\n", "E", "E@X"),
    (b"From:\n", "", ""),
    (b"To: a@b\n", "", ""),
]


@pytest.mark.parametrize(("block", "mailbox", "display"), ADDRESSES)
def test_addresses(block: bytes, mailbox: str, display: str) -> None:
    assert sortkeys.mailbox(block, b"from") == mailbox
    assert sortkeys.display(block, b"from") == display
