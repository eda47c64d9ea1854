"""Checks of the whole configuration, and of the machine."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.cli.doveconf import what_we_have
from pydovecot.settings import doctor
from pydovecot.settings.check import errors_of, not_implemented, notes_of
from pydovecot.settings.parser import parse
from pydovecot.settings.tree import Tree


def read(tmp_path: Path, text: str) -> Tree:
    (tmp_path / "c").write_text(text)
    return parse(str(tmp_path / "c"), expand=True)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("protocols = imap foo\n", "protocols: Unknown protocol: foo"),
        ("passdb {\n}\n", "passdb is missing driver"),
        ("userdb x {\n}\n", "userdb is missing driver"),
        ("service {\n}\n", "Service #32 is missing name"),
        (
            "service imap {\n process_min_avail = 2000\n}\n",
            "service(imap): process_min_avail is higher than process_limit",
        ),
        ("service anvil {\n process_limit = 2\n}\n", "service(anvil): process_limit must be 1"),
        ("service imap {\n vsz_limit = 5\n}\n", "service(imap): vsz_limit is too low"),
        ("service x {\n type = y\n}\n", "Unknown service type: y"),
        ("service pop3-login {\n inet_listener x {\n  port = 143\n }\n}\n", "duplicate listener: 143:"),
        (
            "service imap {\n unix_listener auth-userdb {\n }\n}\n",
            "duplicate listener: /run/dovecot/auth-userdb",
        ),
        ("first_valid_uid = 10\nlast_valid_uid = 5\n", "first_valid_uid can't be larger than last_valid_uid"),
        ("default_login_user = nosuchuser\n", "default_login_user doesn't exist: nosuchuser"),
        ("imap_client_workarounds = x\n", "imap_client_workarounds: Unknown workaround: x"),
        ("ssl_options = x\n", "ssl_options: unknown flag: 'x'"),
        ("pop3_uidl_format = x\n", "pop3_uidl_format setting doesn't contain any %% variables."),
        ("pop3_uidl_format = %q\n", "Unknown pop3_uidl_format variable: %q"),
        ("auth_verbose_passwords = x\n", "auth_verbose_passwords: Invalid value"),
        ("ssl_verify_client_cert = yes\n", "ssl_verify_client_cert set, but ssl_ca not"),
        ("listen =\n", "listen can't be set empty"),
        ("syslog_facility = x\n", "Unknown syslog_facility: x"),
        (
            "protocol imap {\n imap_client_workarounds = x\n}\n",
            "imap_client_workarounds: Unknown workaround: x",
        ),
        (
            "namespace a {\n separator = ab\n}\n",
            "Namespace '': Hierarchy separator must be only one character long",
        ),
        ("namespace a {\n alias_for = z\n}\n", "Namespace '': alias_for points to unknown namespace: z"),
        (
            "namespace a {\n mailbox x {\n special_use = \\\\Foo\n }\n}\n",
            "mailbox x: unknown special_use: \\Foo",
        ),
    ],
)
def test_errors(tmp_path: Path, text: str, error: str) -> None:
    problems = errors_of(read(tmp_path, text.replace("\\\\", "\\")))
    assert [problem.text for problem in problems] == [error]
    assert problems[0].message() == f"Error in configuration file {tmp_path}/c: {error}"
    assert problems[0].hint.startswith(f"see {tmp_path}") or error.startswith(
        ("protocols", "passdb", "userdb")
    )


def test_all_errors_at_once(tmp_path: Path) -> None:
    text = "protocols = foo\nsyslog_facility = x\npassdb {\n}\nauth_worker_max_count = 0\n"
    assert len(errors_of(read(tmp_path, text))) == 4


def test_notes(tmp_path: Path) -> None:
    tree = read(
        tmp_path,
        "ssl = no\nlocal 1.2.3.4 {\n ssl = yes\n}\nservice auth {\n unix_listener /run/dovecot/x {\n }\n}\n",
    )
    assert [note.text for note in notes_of(tree)] == [
        "SSL is disabled because global ssl=no, ignoring ssl=yes for subsection",
        "You should remove base_dir prefix from unix_listener: /run/dovecot/x",
    ]


def test_what_is_not_implemented_is_said_once_for_each_setting(tmp_path: Path) -> None:
    tree = read(
        tmp_path,
        "mail_debug = yes\ndirector_servers = a\nmdbox_rotate_size = 10M\nstats_memory_limit = 1M\n"
        "passdb {\n driver = pam\n deny = yes\n}\nplugin {\n x = y\n}\nmail_plugins = quota zlib\n",
    )
    implemented = {
        "": frozenset({"mail_debug", "mail_plugins"}),
        "passdb": frozenset({"driver"}),
        "mail_plugins": frozenset({"zlib"}),
    }
    at = f"{tmp_path}/c line"
    assert not_implemented(tree, implemented) == [
        f"{at} 2: director_servers is known but not implemented, it has no effect",
        f"{at} 4: stats_memory_limit is known (Dovecot 2.2 had it) but not implemented, it has no effect",
        f"{at} 7: passdb {{ deny is known but not implemented, it has no effect",
        f"{at} 12: mail_plugins: plugin quota is not implemented",
    ]


def test_auth_in_protocols_is_warned_about(tmp_path: Path) -> None:
    tree = read(
        tmp_path,
        "protocol imap {\n auth_verbose = yes\n auth_cache_size = 1M\n passdb {\n  driver = static\n }\n"
        " pop3_rpop = yes\n}\n",
    )
    names = frozenset({"auth_verbose", "auth_cache_size", "pop3_rpop"})
    implemented = {"": names, "passdb": frozenset({"driver"})}
    inside = "inside protocol imap { } has no effect, auth serves all protocols alike"
    assert not_implemented(tree, implemented) == [
        f"{tmp_path}/c line 3: auth_cache_size {inside}",
        f"{tmp_path}/c line 7: pop3_rpop {inside}",
        f"{tmp_path}/c line 4: passdb {inside}",
    ]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_the_doctor(tmp_path: Path, taken_port: int) -> None:
    key = tmp_path / "key"
    key.write_text("x")
    key.chmod(0o644)
    tree = read(
        tmp_path,
        f"listen = 127.0.0.1\nprotocols = imap\nbase_dir = {tmp_path}/run\nssl_cert = <nothing\n"
        "ssl_key = <key\n"
        f"service imap-login {{\n inet_listener imap {{\n port = {taken_port}\n }}\n"
        " inet_listener imaps {\n port = 0\n }\n}\n"
        "service foo {\n executable = /no/such/program\n user = nosuchuser\n}\n"
        "passdb {\n driver = passwd-file\n args = scheme=plain /no/such/file\n}\nmail_uid = nosuchuser\n",
    )
    found = [finding.text for finding in doctor.examine(tree, what_we_have())]
    for expected in (
        "service(foo): user doesn't exist: nosuchuser",
        "mail_uid doesn't exist: nosuchuser",
        "service(foo) access(/no/such/program) failed: No such file or directory",
        f"{tmp_path}/c line 4: ssl_cert: Can't open file {tmp_path}/nothing: No such file or directory",
        f"{tmp_path}/c line 5: ssl_key: {key} may be read by everybody",
        f"{tmp_path}/c line 18: passdb: /no/such/file: No such file or directory",
        f"service(imap-login): listen(127.0.0.1, {taken_port}) failed: Address already in use",
    ):
        assert expected in found


def test_the_doctor_misses_a_passdb_and_the_blank_before_a_path(tmp_path: Path) -> None:
    tree = read(tmp_path, "ssl_cert = /etc/x.pem\nprotocols =\n")
    found = [finding.text for finding in doctor.examine(tree, what_we_have())]
    assert "no passdb is configured: nobody can log in" in found
    assert f"{tmp_path}/c line 1: ssl_cert is a path: write ssl_cert = </etc/x.pem" in found


def test_the_doctor_knows_what_is_missing(tmp_path: Path) -> None:
    tree = read(
        tmp_path,
        "ssl = no\nprotocols =\nmail_location = obox:x\nauth_mechanisms = plain gssapi\n"
        "doveadm_password = x\n"
        "passdb {\n driver = ldap\n}\nuserdb {\n driver = static\n}\n"
        "namespace a {\n location = maildir:~\n}\n",
    )
    (tmp_path / "c").chmod(0o666)
    found = {finding.text for finding in doctor.examine(tree, what_we_have())}
    at = f"{tmp_path}/c"
    assert found >= {
        f"{at} line 3: mail driver obox is not implemented",
        f"{at} line 4: mechanism GSSAPI is not implemented",
        f"{at} line 5: doveadm_password may be read by everybody: move it to a file of its own",
        f"{at} line 6: passdb driver ldap is not implemented",
        f"{at} may be written by everybody",
    }
    assert not any("maildir" in text or "userdb" in text or "PLAIN" in text for text in found)
