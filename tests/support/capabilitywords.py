"""Every capability word, the proof that it is true, and a way to make it untrue.

A word may be told to clients only if it has a row here. tests/contract/test_capability_words.py plays each
row's proof twice: as the code is, when it must pass, and with the behaviour taken away, when it must fail.

    Row("IDLE", "imap/idle.imap", without(COMMANDS, b"IDLE"))

`proof`: a transcript of tests/transcripts (played in memory), or a function that raises AssertionError.
`take_away`: removes the behaviour, not the word: a row of a table, a branch, a part of the answer; see
tests/support/takeaway.py. A word may have several rows, one for each half of its RFC. AUTH= and SASL
mechanisms need no row: the conversations of tests/transcripts/auth are found by their names.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.login.client import LoginClient
from pydovecot.login.result import Result
from pydovecot.mime import asbase64, casemap, html, sortkeys, transfer
from pydovecot.mime.subject import BaseSubject
from pydovecot.mime.transfer import Encoding
from pydovecot.model.errors import UserError
from pydovecot.plugins.imap_quota import plugin as imap_quota
from pydovecot.plugins.quota import quota
from pydovecot.proto.imap import parser
from pydovecot.proto.imap.syntax import BadSyntax
from pydovecot.proto.pop3 import encode
from pydovecot.services.imap import (
    connection,
    esearch,
    fetch_items,
    fetch_render,
    mailboxes,
    qresync,
    search_keys,
    sync,
)
from pydovecot.services.imap.build import make_session
from pydovecot.services.imap.commands import (
    append,
    copy,
    create,
    delete,
    enable,
    list,
    rename,
    search,
    select,
    sort,
    status,
    thread,
)
from pydovecot.services.imap.connection import ImapConnection
from pydovecot.services.imap.dispatch import COMMANDS
from pydovecot.services.imap.session import Session
from pydovecot.services.imap_login import client as imap_login
from pydovecot.services.imap_login.client import ImapLoginClient
from pydovecot.services.pop3 import commands as pop3
from pydovecot.services.pop3 import connection as pop3_connection
from pydovecot.services.pop3.connection import Pop3Connection
from pydovecot.services.pop3_login import client as pop3_login
from pydovecot.services.pop3_login.client import Pop3LoginClient
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Changes
from pydovecot.storage.drivers.memory.view import MemoryView as MailView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.ordering import references
from pydovecot.storage.settings import MailboxSettings, NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support.login_memory import login_client
from tests.support.takeaway import TakeAway, fewer, instead, without, wrapped


@dataclass(frozen=True, slots=True)
class Row:
    """`word` is true as long as `proof` holds; `take_away` makes it false."""

    word: str
    proof: str | Callable[[], None]
    take_away: TakeAway

    def __str__(self) -> str:
        proof = self.proof if isinstance(self.proof, str) else self.proof.__name__
        return f"{self.word} {proof}"


# -- ways to take something away that are more than one row of a table


def _no_initial(real: Callable[..., None]) -> Callable[..., None]:
    return lambda self, mechanism, _initial: real(self, mechanism, None)


def _one_literal(real: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def next_piece(self: parser.Parser) -> Any:
        piece = real(self)
        if piece is not None and piece[1] is not None:
            raise BadSyntax("Extra arguments")
        return piece

    return next_piece


def _no_words(*hidden: bytes) -> Callable[[Any], Any]:
    def wrap(real: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
        return lambda *args: (word for word in real(*args) if word not in hidden)

    return wrap


def _no_condstore(_session: Session) -> Iterator[bytes]:
    yield from ()


def _mutf7(_session: Session, name: str) -> bytes:
    return mailboxes.encode(name)


def _codes_of_rev1(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda error, missing, **_: real(error, missing)


def _first_line_only(real: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
    return lambda self, data: real(self, data[: data.find(b"\n") + 1] or data)


def _no(_self: LoginClient, *, exposed: bool) -> bool:
    del exposed
    return False


def _plain_error(exc: UserError) -> bytes:
    return encode.error(exc.text)


def _codeless(self: Pop3LoginClient, _result: Result, text: str) -> None:
    self._line(f"-ERR {text}")


def _literal(plus: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?:^|[ (])(~?)\{([0-9]+)(%b)\}\Z" % plus)


# -- proofs that are no transcripts


def tls_begins() -> None:
    """STARTTLS and STLS: after the OK nothing is plaintext any more."""
    for protocol, command, answer in (("imap", b"a STARTTLS\r\n", b"a OK "), ("pop3", b"STLS\r\n", b"+OK ")):
        client, host, _ = login_client(protocol)
        client.auth_ready()
        host.output.clear()
        client.feed(command)
        host.settle()
        assert bytes(host.output).startswith(answer + b"Begin TLS")
        assert host.tls_state.handshaked


def special_use_is_listed() -> None:
    """RFC 6154; the word depends on a mailbox in dovecot.conf that has a use."""
    trash = MailboxSettings(section_name="Trash", auto="create", special_use=["\\Trash"])
    space = NamespaceSettings(section_name="inbox", inbox=True, separator=".", mailbox=[trash])
    view = MemoryView({"mail_location": "memory:"}, space)
    store = open_store(StorageUser(f"special{id(view)}", "/nonexistent", "imap"), view)
    session = make_session(store, view, Event(ListSink()), "special")
    assert b"SPECIAL-USE" in session.capabilities.split()
    connection = ImapConnection(session)
    told = b"".join(connection.feed(b'a LIST "" * RETURN (SPECIAL-USE)\r\nb LIST (SPECIAL-USE) "" *\r\n'))
    connection.close()
    lines = told.split(b"\r\n")
    assert lines.count(b'* LIST (\\Trash) "." Trash') == 2
    assert lines.count(b'* LIST () "." INBOX') == 1


def referral_is_told() -> None:
    """RFC 2221."""
    from tests.unit.login.test_login_client import test_referral_to_another_server

    test_referral_to_another_server()


def codes_in_brackets() -> None:
    """RFC 2449 8: why a login or a session failed."""
    from tests.unit.services.pop3.test_pop3_session import test_a_locked_mailbox_refuses_the_login

    test_a_locked_mailbox_refuses_the_login(None)  # type: ignore[arg-type]


def _no_literal8(whole: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
    """BINARY in ordinary literals."""
    return lambda *args: (chunk.replace(b" ~{", b" {") for chunk in whole(*args))


def _expunges(changes: Changes) -> bytes:
    return sync._expunges(changes.expunged)


def _whole_subject(block: bytes) -> BaseSubject:
    """What stands behind the colon, as it is."""
    return BaseSubject(block.partition(b"Subject:")[2].partition(b"\r")[0].decode(), False)


AFTER_LOGIN: Final[tuple[Row, ...]] = (
    Row("IMAP4rev1", "imap/select.imap", without(COMMANDS, b"EXAMINE")),
    Row("IMAP4rev1", "imap/fetch.imap", without(fetch_items.ITEMS, b"ENVELOPE")),
    Row("SASL-IR", "imap-login/authenticate_ir.imap", wrapped(LoginClient, "begin_auth", _no_initial)),
    Row("ID", "imap/misc.imap", without(COMMANDS, b"ID")),
    Row("ENABLE", "imap/misc.imap", without(COMMANDS, b"ENABLE")),
    Row("IDLE", "imap/idle.imap", without(COMMANDS, b"IDLE")),
    Row("SORT", "imap/sort.imap", without(COMMANDS, b"UID SORT")),
    Row("SORT", "imap/sort.imap", without(sort.KEYS, b"CC")),
    Row("SORT", "imap/sort.imap", instead(sortkeys, "base_subject", _whole_subject)),
    Row("SORT=DISPLAY", "imap/sort_display.imap", without(sort.KEYS, b"DISPLAYTO")),
    Row("SORT=DISPLAY", "imap/sort_display.imap", instead(sortkeys, "display", sortkeys.mailbox)),
    Row("THREAD=REFERENCES", "imap/thread.imap", instead(references._Joining, "_gather", lambda *_: None)),
    Row("THREAD=REFERENCES", "imap/thread.imap", without(COMMANDS, b"UID THREAD")),
    Row("THREAD=REFS", "imap/thread.imap", without(thread.KINDS, b"REFS")),
    Row("THREAD=ORDEREDSUBJECT", "imap/thread.imap", without(thread.KINDS, b"ORDEREDSUBJECT")),
    Row("MULTIAPPEND", "imap/append.imap", wrapped(parser.Parser, "next_piece", _one_literal)),
    Row("UNSELECT", "imap/misc.imap", without(COMMANDS, b"UNSELECT")),
    Row("CHILDREN", "imap/list.imap", wrapped(list, "attributes", _no_words(b"\\HasNoChildren"))),
    Row("CHILDREN", "imap/list.imap", wrapped(list, "attributes", _no_words(b"\\HasChildren"))),
    Row("NAMESPACE", "imap/misc.imap", without(COMMANDS, b"NAMESPACE")),
    Row("UIDPLUS", "imap/append.imap", instead(append, "appenduid", lambda _result: b"")),
    Row("UIDPLUS", "imap/copy_move_status.imap", instead(copy, "_copyuid", lambda _done: b"")),
    Row("UIDPLUS", "imap/store_expunge.imap", without(COMMANDS, b"UID EXPUNGE")),
    Row("LIST-EXTENDED", "imap/list.imap", fewer(list, "_SELECT", b"SUBSCRIBED")),
    Row("LIST-EXTENDED", "imap/list.imap", fewer(list, "_SELECT", b"RECURSIVEMATCH")),
    Row("LIST-EXTENDED", "imap/list.imap", fewer(list, "_RETURN", b"CHILDREN")),
    Row("I18NLEVEL=1", "imap/unicode_casemap.imap", instead(casemap, "normalise", str.upper)),
    Row("CONDSTORE", "imap/notify_condstore.imap", instead(Session, "enable_condstore", _no_condstore)),
    Row("CONDSTORE", "imap/notify_condstore.imap", without(search_keys.KEYS, b"MODSEQ")),
    Row("QRESYNC", "imap/qresync_session.imap", instead(sync, "_vanished", _expunges)),
    Row("QRESYNC", "imap/qresync_select.imap", instead(qresync, "missed", lambda *_args: iter(()))),
    Row("ESEARCH", "imap/esearch.imap", fewer(esearch, "RETURN", b"MIN")),
    Row("ESORT", "imap/esort.imap", instead(sort, "parse_returns", lambda _cursor: None)),
    Row("SEARCHRES", "imap/searchres.imap", fewer(esearch, "RETURN", b"SAVE")),
    Row("SEARCHRES", "imap/searchres.imap", without(search_keys.KEYS, b"$")),
    Row("SEARCHRES", "imap/searchres.imap", instead(Session, "uids", lambda _session, numbers: numbers)),
    Row("WITHIN", "imap/search.imap", without(search_keys.KEYS, b"OLDER")),
    Row("WITHIN", "imap/search.imap", without(search_keys.KEYS, b"YOUNGER")),
    Row("LIST-STATUS", "imap/list.imap", instead(status, "line", lambda *_args: b"")),
    Row("BINARY", "imap/binary.imap", instead(transfer, "parse", lambda _value: Encoding.IDENTITY)),
    Row("BINARY", "imap/binary.imap", wrapped(fetch_render, "_decoded", _no_literal8)),
    Row("BINARY", "imap/append_binary.imap", instead(asbase64, "convert", lambda message: [message])),
    Row("MOVE", "imap/copy_move_status.imap", without(COMMANDS, b"MOVE")),
    Row("MOVE", "imap/copy_move_status.imap", without(COMMANDS, b"UID MOVE")),
    Row("SNIPPET=FUZZY", "imap/preview.imap", without(fetch_items.ITEMS, b"SNIPPET")),
    Row("PREVIEW=FUZZY", "imap/preview.imap", fewer(fetch_items, "_PREVIEW_MODIFIERS", b"LAZY=FUZZY")),
    Row("PREVIEW", "imap/preview.imap", without(fetch_items.ITEMS, b"PREVIEW")),
    Row("PREVIEW", "imap/preview.imap", fewer(fetch_items, "_PREVIEW_MODIFIERS", b"LAZY")),
    Row("PREVIEW", "imap/preview.imap", instead(html, "to_text", lambda text: text)),
    Row("STATUS=SIZE", "imap/small_words.imap", without(status.ITEMS, b"SIZE")),
    Row("SAVEDATE", "imap/small_words.imap", without(search_keys.KEYS, b"SAVEDON")),
    Row("SAVEDATE", "imap/small_words.imap", without(fetch_items.ITEMS, b"SAVEDATE")),
    Row("LITERAL+", "imap/append.imap", instead(parser, "_LITERAL", _literal(b""))),
    Row("LITERAL-", "imap/literal_minus.imap", instead(parser, "_LITERAL", _literal(b""))),
    Row("IMAP4rev2", "imap/rev2.imap", without(enable._KNOWN, b"IMAP4REV2")),
    Row("IMAP4rev2", "imap/rev2.imap", without(status.ITEMS, b"DELETED")),
    Row("IMAP4rev2", "imap/rev2.imap", instead(search, "ALL_OF_THEM", None)),
    Row("IMAP4rev2", "imap/rev2.imap", instead(select, "name_line", lambda *_args: b"")),
    Row("IMAP4rev2", "imap/rev2.imap", instead(MailView, "hide_recent", lambda _self: None)),
    Row("IMAP4rev2", "imap/rev2.imap", instead(Session, "tells_uids", property(lambda self: self.qresync))),
    Row("IMAP4rev2", "imap/rev2.imap", wrapped(connection, "refusal", _codes_of_rev1)),
    Row("IMAP4rev2", "imap/rev2_names.imap", instead(mailboxes, "decode_utf8", mailboxes.decode)),
    Row("IMAP4rev2", "imap/rev2_names.imap", instead(Session, "encode_mailbox", _mutf7)),
    Row("IMAP4rev2", "imap/rev2_names.imap", instead(rename, "name_line", lambda *_args: b"")),
    Row("IMAP4rev2", "imap/rev2_names.imap", instead(create, "normalized", lambda *_args: ())),
    Row("IMAP4rev2", "imap/rev2_names.imap", instead(delete, "gone_line", lambda *_args: b"")),
    Row("OBJECTID", "imap/objectid.imap", without(status.ITEMS, b"MAILBOXID")),
    Row("OBJECTID", "imap/objectid.imap", instead(mailboxes, "object_id", lambda _guid: b"F0")),
    Row("OBJECTID", "imap/objectid.imap", without(fetch_items.ITEMS, b"EMAILID")),
    Row("OBJECTID", "imap/objectid.imap", without(fetch_items.ITEMS, b"THREADID")),
    Row("OBJECTID", "imap/objectid.imap", without(search_keys.KEYS, b"EMAILID")),
    Row("OBJECTID", "imap/objectid.imap", without(search_keys.KEYS, b"THREADID")),
    Row("REPLACE", "imap/replace.imap", without(COMMANDS, b"REPLACE")),
    Row("REPLACE", "imap/replace.imap", without(COMMANDS, b"UID REPLACE")),
    Row("QUOTA", "imap/quota.imap", without(imap_quota.COMMANDS, b"GETQUOTAROOT")),
    Row("QUOTA", "imap/quota.imap", without(imap_quota.COMMANDS, b"SETQUOTA")),
    Row("QUOTA", "imap/quota.imap", instead(quota._Room, "takes", lambda *_args: True)),
    Row("SPECIAL-USE", special_use_is_listed, wrapped(list, "attributes", _no_words(b"\\Trash"))),
    Row("SPECIAL-USE", special_use_is_listed, fewer(list, "_SELECT", b"SPECIAL-USE")),
)  # fmt: skip

# Words that only the login process tells. The others of its list stand above.
BEFORE_LOGIN: Final[tuple[Row, ...]] = (
    Row("LOGIN-REFERRALS", referral_is_told, instead(ImapLoginClient, "referral_url", lambda *_args: "")),
    Row("ID", "imap-login/commands.imap", without(imap_login._COMMANDS, b"ID")),
    Row("STARTTLS", tls_begins, without(imap_login._COMMANDS, b"STARTTLS")),
    Row("LOGINDISABLED", "imap-login/required.remote.imap", instead(LoginClient, "refuse_plaintext", _no)),
)  # fmt: skip

# Lines of CAPA, after the login and before it.
POP3: Final[tuple[Row, ...]] = (
    Row("CAPA", "pop3/commands.pop3", without(pop3.COMMANDS, b"CAPA")),
    Row("TOP", "pop3/commands.pop3", without(pop3.COMMANDS, b"TOP")),
    Row("UIDL", "pop3/commands.pop3", without(pop3.COMMANDS, b"UIDL")),
    Row("RESP-CODES", codes_in_brackets, instead(pop3_connection, "_user_error", _plain_error)),
    Row("PIPELINING", "pop3/pipelining.pop3", wrapped(Pop3Connection, "feed", _first_line_only)),
    Row("AUTH-RESP-CODE", "pop3-login/user_pass.pop3", instead(Pop3LoginClient, "send_result", _codeless)),
    Row("STLS", tls_begins, without(pop3_login._COMMANDS, b"STLS")),
    Row("USER", "pop3-login/user_pass.pop3", without(pop3_login._COMMANDS, b"USER")),
    Row("SASL", "pop3-login/auth.pop3", without(pop3_login._COMMANDS, b"AUTH")),
)  # fmt: skip
