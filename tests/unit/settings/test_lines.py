"""Grammar rules 1 to 6, 8 and 9, line by line."""

import pytest

from pydovecot.settings.lines import Kind, Line, classify, escape, unescape


@pytest.mark.parametrize("text", ["", "   ", "# comment", "\t# comment", "#key = value"])
def test_rule_1_empty_lines_and_comments(text: str) -> None:
    assert classify(text).kind is Kind.SKIP


def test_rule_2_comments_end_a_line_outside_of_quotes() -> None:
    assert classify("a = b # c") == Line(Kind.KEYVALUE, "a", "b")
    assert classify("a = b#c") == Line(Kind.KEYVALUE, "a", "b", ambiguous=True)
    assert classify('a = "b # c"') == Line(Kind.KEYVALUE, "a", "b # c")
    assert classify("a = 'b # c' # d") == Line(Kind.KEYVALUE, "a", "b # c")
    assert classify('a = b"#c') == Line(Kind.KEYVALUE, "a", 'b"#c')


def test_rule_3_continuation() -> None:
    first = classify("  a = b   \\  ")
    assert first == Line(Kind.CONTINUE, "", "a = b ")
    assert classify("   c", first.value) == Line(Kind.KEYVALUE, "a", "b c")
    assert classify("# no", first.value).kind is Kind.SKIP


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=b", "b"),
        ("a   =   b  ", "b"),
        ("a =", ""),
        ("a = b = c", "b = c"),
        ('a = " b "', " b "),
        (r'a = "b\"c\\d"', r'b"c\d'),
        ("a = 'b\"c'", 'b"c'),
        ('a = "b', '"b'),
        ('a = "b" "c"', 'b" "c'),
        ('a = "', ""),
    ],
)
def test_rule_4_values(text: str, value: str) -> None:
    assert classify(text) == Line(Kind.KEYVALUE, "a", value)


def test_rule_5_files() -> None:
    assert classify("a = < /x y ") == Line(Kind.KEYFILE, "a", "/x y")
    assert classify('a = "</x"') == Line(Kind.KEYVALUE, "a", "</x")


def test_rule_6_variables_only_without_quotes() -> None:
    assert classify("a = x $b") == Line(Kind.KEYVARIABLE, "a", "x $b")
    assert classify('a = "$b"') == Line(Kind.KEYVALUE, "a", "$b")


@pytest.mark.parametrize(
    ("text", "key", "name"),
    [
        ("passdb {", "passdb", ""),
        ("service imap {", "service", "imap"),
        ('mailbox "Sent Messages" {  # c', "mailbox", "Sent Messages"),
        (r'mailbox "a\"b" {', "mailbox", "?"),
        ("service 'x' {", "service", "'x'"),
    ],
)
def test_rule_8_sections(text: str, key: str, name: str) -> None:
    found = classify(text)
    if name == "?":
        # A quote inside a name cannot be written: the name ends at the first quote, as in Dovecot.
        assert found.value == "Expecting '{'"
    else:
        assert found == Line(Kind.SECTION_BEGIN, key, name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo", "Expecting '{'"),
        ("service a b {", "Expecting '{'"),
        ("service imap{", "Expecting '{'"),
        ("namespace inbox { inbox = yes }", "Garbage after '{'"),
        ("= x", "Missing key name ('=' at the beginning of line)"),
    ],
)
def test_rule_8_errors(text: str, message: str) -> None:
    found = classify(text)
    assert (found.kind, found.value) == (Kind.ERROR, message)


def test_rule_8_section_end() -> None:
    assert classify(" } # x").kind is Kind.SECTION_END
    assert classify("a = b }") == Line(Kind.KEYVALUE, "a", "b }")


def test_rule_9_includes() -> None:
    assert classify("!include conf.d/*.conf") == Line(Kind.INCLUDE, "!include", "conf.d/*.conf")
    assert classify("!include_try x") == Line(Kind.INCLUDE_TRY, "!include_try", "x")


def test_escape_is_undone_by_unescape() -> None:
    assert unescape(escape("a\"b'c\\d")) == "a\"b'c\\d"
