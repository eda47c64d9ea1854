"""Our doveconf and Dovecot's answer the same: output, exit status, first error, for some 330 configurations.

Left out of the comparison: header lines, what Debian's build has in place of Dovecot's own defaults, and the
capabilities that a second program tells. Differences on purpose are in docs/differences.md.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.cli import doveconf

DOVECONF = shutil.which("doveconf")
pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(DOVECONF is None, reason="Dovecot is not installed"),
]

CASES = Path(__file__).parent / "doveconf"
FILES = {
    "key": "KEY\n",
    "value.txt": "/from/a/file",
    "part.inc": "mail_home = /part\nmail_debug = yes\n",
    "inside.inc": "inbox = yes\nmailbox Trash {\n  auto = create\n}\n",
    "opens.inc": "namespace inbox {\n",
    "loop.inc": "mail_debug = yes\n!include loop.inc\n",
    "broken.inc": "mail_debug = yes\n\nmail_hoem = x\n",
    "conf.d/10-a.conf": "mail_home = /ten\nmail_plugins = $mail_plugins a\n",
    "conf.d/20-b.conf": "mail_home = /twenty\nmail_plugins = $mail_plugins b\n",
    "conf.d/sub/file.inc": "mail_home = <../../value.txt\n",
    "conf.d/crlf.inc": "mail_home = /crlf\r\nnamespace x {\r\n  prefix = a\r\n}\r\n",
    "conf.d/last.inc": "mail_home = /no/newline",
}

# kind of setting: names with that kind
SETTINGS = {
    "bool": ["mail_debug", "maildir_stat_dirs"],
    "uint": ["mail_max_userip_connections"],
    "size": ["imap_max_line_length"],
    "time": ["imap_idle_notify_interval"],
    "time_msecs": ["login_proxy_timeout"],
    "port": ["imapc_port"],
    "enum": ["mail_fsync", "ssl"],
    "string": ["hostname"],
    "octal": ["service/x/unix_listener/y/mode"],
}
VALUES = {
    "bool": ["yes", "y", "1", "n", "0", "No", "YES", "true", ""],
    "uint": ["5", "010", "0x10", "-1", "abc", "4294967295", "4294967296", "5 k", "", "99999999999999999999"],
    "size": [
        "5", "64k", "64K", "1M", "1 M", "1 MB", "1 kB", "1b", "0", "abc", "1x", "1 k b", "1kk", "", "1.5M",
        "18446744073709551615", "18446744073709551616", "17592186044416M", "1 T", "unlimited",
    ],
    "time": [
        "5", "0", "5 s", "5s", "5m", "5mi", "5 minutes", "2h", "1 d", "1 w", "1 fortnight", "1 ms",
        "1500 ms",
        "1000 msecs", "4294967295", "", "abc", "5 S", "71582788m", "71582789m", "49711 d", "1 hours x",
        "7200 s",
    ],
    "time_msecs": ["5", "5 ms", "5 s", "1500ms", "1000ms", "0ms", "1 min", "x"],
    "port": ["70000", "abc", "65535", "-1", "0", "080"],
    "enum": ["optimized", "required", "maybe", "", "NEVER"],
    "string": ["a", " a  b ", '" a "', "'x'", "a\\", "\"a\\\"b\"", "$x", "a=b", "<x", "ä"],
    "octal": ["0600", "600", "0", "0888", "abc", "00600", "07777777777777"],
}  # fmt: skip

_IGNORED = re.compile(
    r"#|/?managesieve_(notify|sieve)_capability|managesieve_implementation_string"
    r"|login_greeting ?= ?Dovecot (\(Debian\) )?ready|protocols ?= ?(imap pop3 lmtp)?$"
)


def _cases() -> Iterator[tuple[str, str, str]]:
    for path in sorted(CASES.glob("*.cases")):
        for number, case in enumerate(path.read_text("utf-8").split("=== ")[1:]):
            options, _, body = case.partition("\n")
            yield f"{path.stem}-{number}", options, body
    for kind, names in SETTINGS.items():
        for name in names:
            for value in VALUES[kind]:
                yield f"type-{kind}-{name.rpartition('/')[2]}-{value!r}", "-n", _setting(name, value)


def _setting(name: str, value: str) -> str:
    *path, key = name.split("/")
    if not path:
        return f"{key} = {value}\n"
    return f"{path[0]} {path[1]} {{\n{path[2]} {path[3]} {{\n{key} = {value}\n}}\n}}\n"


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not _IGNORED.match(line)]


def _fatal(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("doveconf: Fatal: ")]


def _warnings(text: str) -> set[str]:
    """Warnings that both give; ours about what is not implemented, or stops auth, are our own."""
    return {
        line
        for line in text.splitlines()
        if line.startswith("doveconf: Warning: ")
        and "implemented" not in line
        and "auth serves all protocols" not in line
        and "There is no setting" not in line
        and not line.endswith(": the server will not start")
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doveconf")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


@pytest.mark.parametrize(("options", "body"), [pytest.param(o, b, id=i) for i, o, b in _cases()])
def test_answers_equal_dovecots(
    options: str,
    body: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert DOVECONF is not None
    monkeypatch.chdir(place)
    Path("t.conf").write_text(body, "utf-8")
    arguments = ["-c", "t.conf", *options.split()]
    theirs = subprocess.run([DOVECONF, *arguments], capture_output=True, text=True, timeout=60, check=False)
    status = doveconf.main(arguments)
    ours = capsys.readouterr()
    assert _lines(ours.out) == _lines(theirs.stdout)
    assert status == theirs.returncode, ours.err
    if status:
        # The last one is doveconf's own; earlier ones come from a program that it starts.
        assert _fatal(ours.err)[:1] == _fatal(theirs.stderr)[-1:]
    else:
        assert _warnings(ours.err) == _warnings(theirs.stderr)


def test_debians_own_tree_is_shown_alike(capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/etc/dovecot/dovecot.conf").exists():
        pytest.skip("no /etc/dovecot/dovecot.conf")
    assert DOVECONF is not None
    for option in ("-n", "-a"):
        theirs = subprocess.run([DOVECONF, option], capture_output=True, text=True, timeout=60, check=True)
        assert doveconf.main([option]) == 0
        assert _lines(capsys.readouterr().out) == _lines(theirs.stdout)
