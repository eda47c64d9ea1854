"""Rule 16: settings of older versions, their warnings and what becomes of them."""

from pathlib import Path

import pytest

from pydovecot.settings.kinds import BadValue
from pydovecot.settings.obsolete import CLEAN_HINT, oldest_protocol
from pydovecot.settings.parser import parse, parse_collecting
from pydovecot.settings.tree import Tree


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return tmp_path / "c"


def read(conf: Path, text: str) -> Tree:
    conf.write_text(text)
    return parse(str(conf))


def warnings(tree: Tree) -> list[str]:
    return [note.text.partition(": ")[2] if "Obsolete" in note.text else note.text for note in tree.notes]


@pytest.mark.parametrize(
    ("value", "oldest"),
    [
        ("!SSLv2 !SSLv3", "TLSv1"),
        ("!SSLv3", "TLSv1"),
        ("!SSLv3 !TLSv1 !TLSv1.1", "TLSv1.2"),
        ("TLSv1.2", "TLSv1.2"),
        ("TLSv1.2 TLSv1.1", "TLSv1.1"),
        ("TLSv1.3", "TLSv1.3"),
    ],
)
def test_ssl_protocols_becomes_the_oldest_one(value: str, oldest: str) -> None:
    assert oldest_protocol(value) == oldest


@pytest.mark.parametrize("value", ["SSLv2", "foo", "!SSLv3 !TLSv1 !TLSv1.1 !TLSv1.2 !TLSv1.3"])
def test_ssl_protocols_that_make_no_sense(value: str) -> None:
    with pytest.raises(BadValue):
        oldest_protocol(value)


def test_ssl_protocols_is_taken_without_a_word(conf: Path) -> None:
    tree = read(conf, "ssl_protocols = !SSLv2 !SSLv3\n")
    assert tree.root.values["ssl_min_protocol"].text == "TLSv1"
    assert tree.notes == []
    bad = read(conf, "ssl_protocols = foo\n")
    assert bad.notes[-1].level == "Error"
    assert "ssl_min_protocol" not in bad.root.values


def test_the_hint_comes_once(conf: Path) -> None:
    tree = read(conf, "ssl_disable = yes\nfsync_disable = yes\n")
    assert warnings(tree) == [
        CLEAN_HINT,
        f"{'ssl_disable has been renamed to ssl'}",
        "fsync_disable has been renamed to mail_fsync",
    ]
    assert tree.root.values["ssl"].text == "no"
    assert tree.root.values["mail_fsync"].text == "never"


def test_login_settings_become_services(conf: Path) -> None:
    tree = read(conf, "login_process_per_connection = no\nprotocol pop3 {\n login_max_connections = 7\n}\n")
    sections = tree.root.sections
    assert sections["service", "imap-login"].values["service_count"].text == "0"
    assert "client_limit" not in sections["service", "imap-login"].values
    assert sections["service", "pop3-login"].values["client_limit"].text == "7"


def test_ports_in_listen(conf: Path) -> None:
    tree = read(conf, "listen = 127.0.0.1:1430\nssl_listen = *:9930\n")
    login = tree.root.sections["service", "imap-login"]
    assert tree.root.values["listen"].text == "127.0.0.1"
    assert login.sections["inet_listener", "imap"].values["port"].text == "1430"
    assert login.sections["inet_listener", "imaps"].values["port"].text == "9930"


def test_auth_default(conf: Path) -> None:
    tree = read(
        conf,
        "auth default {\n mechanisms = plain login\n passdb pam {\n  args = x\n }\n userdb passwd {\n }\n"
        " user = root\n socket listen {\n  master {\n   path = /run/dovecot/auth-master\n"
        "   mode = 0600\n  }\n"
        "  client {\n   path = /spool/auth\n   mode = 0660\n  }\n }\n}\nmail_debug = yes\n",
    )
    assert tree.root.values["auth_mechanisms"].text == "plain login"
    assert tree.root.values["mail_debug"].text == "yes"
    passdb = next(tree.root.of_type("passdb"))
    assert {key: value.text for key, value in passdb.values.items()} == {"driver": "pam", "args": "x"}
    auth = tree.root.sections["service", "auth"]
    assert auth.values["user"].text == "root"
    assert auth.sections["unix_listener", "auth-master"].values["mode"].text == "0600"
    assert auth.sections["unix_listener", "/spool/auth"].values["mode"].text == "0660"


def test_auth_default_errors(conf: Path) -> None:
    conf.write_text("auth default {\n socket listen {\n  client {\n   mode = 0600\n  }\n }\n foo = x\n}\n")
    _, problems = parse_collecting(str(conf))
    assert [f"{one.line}: {one.text}" for one in problems] == [
        "5: socket listen {} is missing path",
        "7: Unknown setting: auth_foo",
    ]


def test_secure_protocols(conf: Path) -> None:
    tree = read(conf, "protocols = imaps pop3 pop3s managesieve\n")
    assert tree.root.values["protocols"].text == "pop3 sieve imap"
    listener = tree.root.sections["service", "imap-login"].sections["inet_listener", "imap"]
    assert listener.values["port"].text == "0"


@pytest.mark.parametrize(
    "line",
    [
        "login_dir = x",
        "ssl_dh_parameters_length = 2048",
        "ssl_parameters_regenerate = 1 week",
        "auth_count = 1",
        "maildir_copy_preserve_filename = yes",
        "ssl_key_file =",
    ],
)
def test_settings_that_only_warn_or_do_nothing(conf: Path, line: str) -> None:
    tree = read(conf, line + "\n")
    assert tree.root.values == {}
    assert len(tree.notes) == (0 if line.endswith("=") else 2)


def test_workarounds_that_went_away(conf: Path) -> None:
    tree = read(conf, "imap_client_workarounds = outlook-idle, delay-newmail netscape-eoh\n")
    assert tree.root.values["imap_client_workarounds"].text == "delay-newmail"
    assert len(tree.notes) == 3
