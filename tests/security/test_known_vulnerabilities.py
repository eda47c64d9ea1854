"""One regression test for each class of known Dovecot vulnerability.

Where a test elsewhere already holds the class, ELSEWHERE names it; that it is still there is held here.
Classes that only memory-unsafe code can have (CVE-2019-7524, CVE-2017-14461) are left to the property tests,
which take any bytes; those of parts that do not exist yet (OTP: CVE-2026-27855, JWT: CVE-2021-29157, LDAP,
hibernation: CVE-2020-24386, texts of attachments: CVE-2025-59031) come with these. Those of
authentication are in test_auth_vulnerabilities.py.
"""

import ast
from pathlib import Path

import pytest

from pydovecot.authdb.names import NameRules
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.settings import AuthSettings
from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.mime import envelope
from pydovecot.proto.imap.parser import Command, Parser, Signal
from pydovecot.proto.imap.syntax import MAX_LIST_NESTING, BadSyntax
from pydovecot.proto.imap.tokens import arguments
from pydovecot.settings.expand import expand, user_table
from pydovecot.settings.memory import MemoryView
from tests.support import lmtp_memory

ROOT = Path(__file__).resolve().parents[2]

ELSEWHERE = {
    "CVE-2011-0411, CVE-2021-33515 plaintext before STARTTLS, IMAP": (
        "tests/unit/login/test_login_sockets.py",
        "def test_starttls_drops_what_was_injected_before_it",
    ),
    "CVE-2011-0411 plaintext before STLS, POP3": (
        "tests/unit/login/test_login_sockets.py",
        "def test_stls_drops_what_was_injected_before_it",
    ),
    "CVE-2019-11500 NUL in quoted strings": (
        "tests/unit/login/test_login_client.py",
        "def test_nul_never_cuts_a_string",
    ),
    "CVE-2019-3814 user name from a client certificate": (
        "tests/unit/authdb/test_authdb_names.py",
        "def test_certificate_names_go_before_given_ones",
    ),
    "CVE-2020-12100 deeply nested MIME parts": (
        "tests/property/mime/test_mime_mutations.py",
        "def test_limits_of_parts",
    ),
    "CVE-2024-23184, CVE-2024-23185 many and large header fields": (
        "tests/property/mime/test_mime_mutations.py",
        '"several To": lambda',
    ),
    "CVE-2026-27859 RFC 2231 parameters": (
        "tests/property/mime/test_mime_mutations.py",
        '"same piece": lambda',
    ),
    "CVE-2025-59028 bad base64 ends its own login only": (
        "tests/transcripts/auth/plain.auth",
        "bad base64 ends this request only",
    ),
    "CVE-2017-15132 aborted authentications are forgotten": (
        "tests/transcripts/auth/plain.auth",
        "CANCEL",
    ),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_class_is_held_elsewhere(name: str) -> None:
    path, text = ELSEWHERE[name]
    assert text in (ROOT / path).read_text()


def test_parentheses_take_no_memory() -> None:
    """CVE-2026-27857: nesting is refused before it is followed."""
    core = Parser(1_000_000)
    core.feed(b"a SEARCH " + b"(" * 500_000 + b"\r\n")
    command = core.next_event()
    assert isinstance(command, Command)
    with pytest.raises(BadSyntax, match="Too many"):
        arguments(command.text, command.literals)
    core.feed(b"b SEARCH " + b"(" * MAX_LIST_NESTING + b")" * MAX_LIST_NESTING + b"\r\n")
    command = core.next_event()
    assert isinstance(command, Command)
    arguments(command.text, command.literals)
    assert core.next_event() is Signal.NEED_DATA


def test_secrets_are_never_compared_with_equals() -> None:
    """CVE-2026-27856: a comparison that ends at the first difference tells how far a guess was right."""
    secrets = {"plaintext", "password", "digest", "expected", "stored", "cookie", "raw", "key", "made"}
    for folder in ("password", "sasl", "services/auth"):
        for path in (ROOT / "pydovecot" / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
                    continue
                sides = [node.left, *node.comparators]
                if any(isinstance(side, ast.Constant) for side in sides):
                    continue  # against a constant: nothing to guess
                named = {side.id for side in sides if isinstance(side, ast.Name)}
                assert not named & secrets, f"{path}:{node.lineno}"


def test_an_empty_local_part_is_an_address_like_others() -> None:
    """CVE-2020-10967."""
    made = envelope.render(b'From: ""@example.com\nSender: <"">\nTo: "" <""@>\nCc: <@>\n\n')
    assert made.startswith(b"(NIL NIL ")
    assert b'"example.com"' in made


@pytest.mark.parametrize("user", ["a@../../etc", "a@/etc/x", "../b@c", "a@..", ".@."])
def test_a_user_name_names_no_other_folder(user: str) -> None:
    """CVE-2021-29157, CVE-2026-24031 class: what a client sends goes into a path."""
    request = AuthRequest(user=user)
    refused = NameRules(AuthSettings(auth_username_chars="")).set_user(AuthRequest(), user)
    assert (refused is None) == (user in ("a@/etc/x", ".@."))
    for template in ("/etc/auth/%d/passwd", "/etc/auth/%n", "/etc/auth/%u", "/auth/%{domain}/%{username}"):
        parts = request.expand_path(template).split("/")
        assert len(parts) == len(template.split("/"))
        assert not {".", ".."} & set(parts)


def test_values_are_not_expanded_again() -> None:
    """CVE-2026-27860 class: a % in what a client sends stays a % and finds no other variable."""
    table = user_table("%{home}@%h", "/root")
    assert expand("%u|%n|%d", table) == "%{home}@%h|%{home}|%h"


@pytest.mark.parametrize("text", [b'"', b"<", b">", b"\\", b"(", b"\0", b"\xff", b"=", b"x" * 3000, b'"\\'])
@pytest.mark.parametrize(
    "verb", [b"NOOP", b"RSET", b"QUIT", b"VRFY", b"LHLO", b"MAIL", b"RCPT", b"XCLIENT", b"BDAT"]
)
def test_broken_arguments_are_answered(verb: bytes, text: bytes) -> None:
    """CVE-2020-10957: NOOP with an argument that is no string ended Dovecot's lmtp."""
    server = lmtp_memory.connection(MemoryView({}), Event(ListSink()), trusted=True)
    server.greeting()
    said = b"".join(server.feed(verb + b" " + text + b"\r\nNOOP\r\n"))
    answers = [line for line in said.split(b"\r\n") if line[3:4] == b" "]
    assert answers[0][:1] in b"25" and (len(answers) == 2 or answers[0].startswith(b"221"))
