"""SEARCH, SORT and THREAD commands for a mailbox of real mail: every key, words of many scripts."""

import random
import re
from collections.abc import Iterator, Sequence
from datetime import date

from pydovecot.mime import header, structure, summary, textsearch, words

TEXT_KEYS = (
    b"TEXT", b"BODY", b"SUBJECT", b"FROM", b"TO", b"CC", b"BCC", b"HEADER Subject", b"HEADER From",
    b"HEADER To", b"HEADER Received", b"HEADER Message-ID", b"HEADER Content-Type", b"HEADER X-Mailer",
)  # fmt: skip
CHARSETS = (
    "utf-8", "us-ascii", "iso-8859-1", "iso-8859-2", "iso-8859-5", "iso-8859-7", "iso-8859-9", "iso-8859-15",
    "windows-1251", "windows-1252", "koi8-r", "koi8-u", "iso-2022-jp", "euc-jp", "euc-kr", "big5", "gb18030",
    "utf-7", "tis-620", "iso-8859-8", "windows-1256",
)  # fmt: skip
PLAIN_KEYS = (
    b"ALL", b"SEEN", b"UNSEEN", b"ANSWERED", b"UNANSWERED", b"DELETED", b"UNDELETED", b"DRAFT", b"UNDRAFT",
    b"FLAGGED", b"UNFLAGGED", b"NEW", b"OLD", b"RECENT", b"2:5", b"UID 3:9", b"UID *", b"*",
    b"LARGER 2000", b"SMALLER 2000", b"LARGER 0", b"SMALLER 100000000", b"OLDER 1000", b"YOUNGER 1000",
    b"BEFORE 1-Jan-2020", b"SINCE 1-Jan-2020", b"ON 13-Sep-2020", b"MODSEQ 1", b'NOT TEXT "a"',
    b'CC ""', b'TEXT ""',
    b'OR BODY "hello" TO "list"', b"OR SEEN NOT LARGER 500", b'(FROM "a" SUBJECT "e")', b'NOT (FROM "a")',
    b'HEADER X-None ""', b'HEADER Subject ""', b'SUBJECT "re" NOT FROM "a" LARGER 1000', b'HEADER Date "2"',
)  # fmt: skip
SORT_KEYS = (b"ARRIVAL", b"CC", b"DATE", b"FROM", b"SIZE", b"SUBJECT", b"TO", b"DISPLAYFROM", b"DISPLAYTO")
ALGORITHMS = (b"ORDEREDSUBJECT", b"REFERENCES", b"REFS")
# Rows of Big5 that are letters to Python and private characters to Dovecot's iconv.
_PRIVATE_BIG5 = re.compile(rb"[\xc6-\xc8][\x40-\xfe]")


def words_in(messages: Sequence[bytes], seed: int, count: int) -> list[str]:
    """Words out of the messages, decoded; those that are not ASCII first."""
    choose = random.Random(seed)
    found: set[str] = set()
    for message in messages:
        all_words = re.findall(r"\w{2,12}", " ".join(_texts(message)).replace("\ufffd", " "))
        foreign = [word for word in all_words if not word.isascii()]
        found.update(choose.sample(all_words, min(1, len(all_words))))
        found.update(choose.sample(foreign, min(2, len(foreign))))
    return sorted(found, key=lambda word: (word.isascii(), word))[:count]


def _texts(message: bytes) -> Iterator[str]:
    parts = [structure.parse(message)]
    for part in parts:
        block = message[part.start : part.body]
        yield from (words.decode(value) for _, value in header.fields(block))
        parts += part.children
        if not part.children:
            yield textsearch.body_text(message, part) or ""


def text_searches(texts: Sequence[str], few: bool) -> Iterator[bytes]:
    """Each text in each key, in UTF-8; and in every other charset that has its letters, in one key.

    `few`: not all in TEXT and BODY, which read all mail.
    """
    keys = TEXT_KEYS[:7] if few else TEXT_KEYS
    for number, text in enumerate(texts):
        for key in keys:
            if few and key in (b"TEXT", b"BODY") and number % 4:
                continue
            yield _search(text, key, "utf-8")
        for charset in CHARSETS[1:]:
            try:
                question = _search(text, keys[2 + number % (len(keys) - 2)], charset)
            except UnicodeError:
                continue
            if charset != "big5" or not _PRIVATE_BIG5.search(question):
                yield question


def _search(text: str, key: bytes, charset: str) -> bytes:
    data = text.encode(charset)
    return b"SEARCH CHARSET %b %b {%d+}\r\n%b" % (charset.encode(), key, len(data), data)


def date_searches(messages: Sequence[bytes], most: int) -> Iterator[bytes]:
    """SENT… around the days on which the messages were written."""
    days = {summary.of(message).sent_day or date(1970, 1, 1).toordinal() for message in messages}
    chosen = random.Random(3).sample(sorted(days), min(most, len(days)))
    for day in chosen:
        for near in (day - 1, day, day + 1):
            if near > date(1, 1, 1).toordinal():
                shown = date.fromordinal(near).strftime("%-d-%b-%Y").encode()
                for key in (b"SENTBEFORE", b"SENTON", b"SENTSINCE"):
                    yield b"SEARCH %b %b" % (key, shown)


def sorts() -> Iterator[bytes]:
    """SORT by each key, in both directions, alone and in pairs."""
    for key in SORT_KEYS:
        for program in (key, b"REVERSE " + key):
            yield b"SORT (%b) UTF-8 ALL" % program
            yield b"SORT (%b REVERSE DATE) UTF-8 ALL" % program
            yield b'UID SORT (%b) UTF-8 TEXT "e"' % program
            yield b"SORT (SUBJECT %b) UTF-8 ALL" % program


def threads() -> Iterator[bytes]:
    """THREAD with each algorithm, of all and of some."""
    for name in ALGORITHMS:
        for search in (b"ALL", b'SUBJECT "re"', b"LARGER 3000", b'BODY "the"', b"1:20", b'FROM "nobody"'):
            yield b"THREAD %b UTF-8 %b" % (name, search)
        yield b"UID THREAD %b UTF-8 ALL" % name
