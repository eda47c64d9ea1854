"""The quick way to HEADER.FIELDS gives what the general one gives."""

from hypothesis import given
from hypothesis import strategies as st

from pydovecot.mime import section as mime_section
from pydovecot.model.section import Section, Text
from pydovecot.services.imap.fetch_items import ContentItem
from pydovecot.services.imap.fetch_render import _header_maker

_PIECES = st.sampled_from(
    [
        b"From",
        b"from ",
        b"To",
        b"X-To",
        b":",
        b" ",
        b"\t",
        b"\r\n",
        b"\r\n ",
        b"\r\n\r\n",
        b"a",
        b"\r",
        b"%d",
        b".",
    ]
)


@given(st.lists(_PIECES, max_size=40), st.lists(st.sampled_from([b"From", b"TO", b"a.", b"%d"]), min_size=1))
def test_quick_and_general_agree(pieces: list[bytes], fields: list[bytes]) -> None:
    text = b"".join(pieces)
    end = text.find(b"\r\n\r\n")
    header = (text if end < 0 else text[: end + 2]) + b"\r\n"
    if header.startswith(b"\r\n"):
        header = b"\r\n"
    item = ContentItem(b"", Section((), Text.HEADER_FIELDS, tuple(fields)))
    assert _header_maker(item)(header) == mime_section.fields_of(header, tuple(fields))


def test_fields_with_continuations() -> None:
    header = b"From: a\r\n b\r\nX: y\r\nTO : z\r\nSubject: q\r\nfrom: again\r\n\r\n"
    item = ContentItem(b"", Section((), Text.HEADER_FIELDS, (b"FROM", b"to")))
    assert _header_maker(item)(header) == b"From: a\r\n b\r\nTO : z\r\nfrom: again\r\n\r\n"
