"""The configuration parser: any text gives a tree or problems with places, and output reads back the same."""

import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydovecot.cli import doveconf
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.lines import Kind, classify
from pydovecot.settings.parser import parse_collecting
from pydovecot.settings.schema import SCHEMA

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Pieces that the grammar cares about, and noise.
PIECES = st.sampled_from(
    [
        "mail_home = ", "mail_debug=yes",
        "mail_plugins = $mail_plugins x", "x",
        " ", "\n", "\n", "{", "}",
        "{\n", "}\n", "passdb {\n", "driver = a\n", "service imap {\n", "client_limit = 5\n",
        "protocol imap {\n",
        "protocol !imap {\n", "local 10.0.0.0/8 {\n", "remote ::1 {\n", "local_name a {\n", "plugin {\n",
        "auth default {\n", "socket listen {\n", "master {\n", "path = a-master\n",
        "ssl_protocols = !SSLv3\n",
        "#", '"', "'", "\\", "\\\n", "=", "<", "$", "$x", "!include ", "!include_try c\n",
        "namespace a {\n", "mailbox b {\n",
        "listen = *:143\n", "protocols = imaps\n", "\0", "\t", "ä", "\udcff", "1 k", "\r\n",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=40).map("".join)


@QUICK
@given(st.text(max_size=80), st.text(alphabet="ab= \\\"'", max_size=10))
def test_any_line_is_classified(text: str, before: str) -> None:
    line = classify(text, before)
    assert isinstance(line.kind, Kind)


@QUICK
@given(TEXTS, st.booleans())
def test_any_file_gives_a_tree_or_problems_with_places(tmp_path: Path, text: str, expand: bool) -> None:
    path = tmp_path / "c"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    tree, problems = parse_collecting(str(path), expand=expand)
    lines = text.count("\n") + 1
    assert tree.files[0] == str(path)
    assert all(problem.file == str(path) and 0 <= problem.line <= lines for problem in problems)
    for key, value in tree.root.values.items():
        assert 1 <= value.line <= lines
        assert SCHEMA.fields[key].normal(value.text) == value.text
    if problems:
        assert str(ConfigError(problems)) == problems[0].message()


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "c"
    path.write_bytes(data)
    parse_collecting(str(path))


NAMES = st.text(alphabet="abc XYZ.-_/=#{ä", min_size=1, max_size=8).filter(lambda name: name == name.strip())
VALUES = st.text(alphabet="ab c#\"'\\=<>/%{}$ä;", max_size=12).map(lambda text: f'"{_escaped(text)}"')
MANY = st.dictionaries(NAMES, VALUES, max_size=3)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """A valid configuration: globals, namespaces with mailboxes, plugin keys, a protocol block."""
    out = []
    for key in draw(
        st.lists(st.sampled_from(["mail_home", "hostname", "login_greeting", "mail_plugins"]), max_size=4)
    ):
        out.append(f"{key} = {draw(VALUES)}")
    for key, value in (
        ("mail_debug", "yes"),
        ("imap_max_line_length", "128k"),
        ("mail_temp_scan_interval", "3d"),
    ):
        if draw(st.booleans()):
            out.append(f"{key} = {value}")
    for name, comment in draw(MANY).items():
        out += [f'namespace "{name}" {{', f'  mailbox "{name}" {{', f"    comment = {comment}", "  }", "}"]
    for name in draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True)):
        out += ["plugin {", f"  {name} = {draw(VALUES)}", "}"]
    if draw(st.booleans()):
        out += ["protocol imap {", f"  mail_home = {draw(VALUES)}", "  mail_debug = no", "}"]
    if draw(st.booleans()):
        out += ["passdb {", "  driver = static", f"  args = {draw(VALUES)}", "}"]
    return "\n".join(out) + "\n"


def _dump(path: Path) -> list[str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = doveconf.main(["-nP", "-c", str(path)])
    assert status == 0, err.getvalue()
    return [line for line in out.getvalue().splitlines() if not line.startswith("# ")]


@QUICK
@given(configurations())
def test_what_doveconf_prints_reads_back_the_same(tmp_path: Path, text: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(text)
    shown = _dump(first)
    second.write_text("\n".join(shown) + "\n")
    assert _dump(second) == shown


@pytest.mark.parametrize("text", ["{" * 5000, "namespace a {\n" * 5000, "a" * 200_000, "x = \\\n" * 20_000])
def test_large_inputs_take_no_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c"
    path.write_text(text)
    _, problems = parse_collecting(str(path))
    assert problems or text.startswith("x")
