"""PREVIEW's text: which part, what of it; and HTML without markup."""

import pytest

from pydovecot.mime import html, snippet


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a\n\n b\tc\r\n", "a b c"),
        ("I am\n", "I am"),
        ("> q\nown\n", "own"),
        ("> one\n>two\n", ">one two"),
        (">> deeper", ">> deeper"),
        ("own\n> q\n", "own"),
        ("a\x0bb\x0cc", "a b c"),
        ("a\u00a0b", "a\u00a0b"),
        ("\ufeff> no quote", "> no quote"),
        ("a\0b \0 c", "ab c"),
        (" ", ""),
        ("x" * 199 + " yy", "x" * 199),
        ("x" * 198 + " yy", "x" * 198 + " y"),
        ("y" * 300, "y" * 200),
        ("> " + "z" * 300, ">" + "z" * 199),
        ("> q\n" + "y" * 300, "y" * 199),
    ],
)
def test_of_text(text: str, want: str) -> None:
    assert snippet.of_text(text).text == want


@pytest.mark.parametrize(
    ("markup", "want"),
    [
        ("a<b>b</b>c", "a b c"),
        ("a&amp;b&#65;&#x42;&euro;", "a&bAB\u20ac"),
        ("AT&T &toolongname; &foo; &AMP;", "ATT toolongname;  "),
        ("a<style>x{}</STYLE>b<script src=x>y</script>c", "a b c"),
        ("a<stylex>b", "a b"),
        ("a<!-- b -- > -->c", "a -->c"),
        ("a<!-- b ---> c -->d", "ad"),
        ("a<![CDATA[<b>]]>c", "a<b>c"),
        ("a<x y='>' z=\"\\\">\">b", "a b"),
        ("a<blockquote>q\nr<p>s</blockquote>t", "a\n>q\nr\n>s\nt"),
        ("a<b", "a"),
        ("a&am", "a"),
        ("a&#xD800;&#1114112;b", "ab"),
        ("1 < 2", "1 "),
    ],
)
def test_html(markup: str, want: str) -> None:
    assert html.to_text(markup) == want


def test_a_character_that_the_end_cuts_is_left_out() -> None:
    message = b"Content-Type: text/plain; charset=utf-8\n\nab\xff c\xc3"
    assert snippet.of(message) == "ab\ufffd c"


def test_only_as_much_is_decoded_as_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    whole = snippet.transfer.decode

    def watched(data: bytes, encoding: snippet.Encoding) -> bytes | None:
        decoded.append(len(data))
        return whole(data, encoding)

    monkeypatch.setattr(snippet.transfer, "decode", watched)
    assert snippet.of(b"Subject: x\n\n" + b"word " * 1_000_000) == ("word " * 40).rstrip()
    assert sum(decoded) < 10_000
    decoded.clear()
    assert snippet.of(b"Subject: x\n\n" + b"> quoted\n" * 100_000 + b"own\n") == "own"
    assert sum(decoded) < 3 * 900_000


def test_markup_without_end() -> None:
    """A megabyte of tags is enough; what comes behind it is not looked for."""
    tags = b"<td>" * 300_000
    assert snippet.of(b"Content-Type: text/html\n\n" + tags + b"text") == ""
    assert snippet.of(b"Content-Type: text/html\n\n" + tags[:800_000] + b"text") == "text"


@pytest.mark.parametrize(
    ("fields", "body", "want"),
    [
        ("Content-Type: image/png", "x", ""),
        ("Content-Type: message/rfc822", "Subject: y\n\nz", ""),
        ("Content-Type: text/enriched", "x", "x"),
        ("Content-Type: text", "x", ""),
        ("Content-Transfer-Encoding: x-unknown", "x", ""),
        ("Content-Type: multipart/mixed; boundary=b", "pre\n--b--\n", ""),
        ("Content-Type: multipart/mixed; boundary=b", "--b\nContent-Type: a/b\n\n1\n--b\n\n2\n--b--\n", "2"),
        (
            "Content-Type: multipart/alternative; boundary=b",
            "--b\nContent-Type: text/x\n\n1\n--b\nContent-Type: text/html\n\n2\n--b--\n",
            "2",
        ),
    ],
)
def test_which_part(fields: str, body: str, want: str) -> None:
    assert snippet.of(f"{fields}\n\n{body}".encode()) == want
