"""What the master is told: services, limits, listeners."""

from pathlib import Path

import pytest

from pydovecot.settings.master import Configuration, Listener, ServiceConfig, configuration
from pydovecot.settings.parser import parse


def made(tmp_path: Path, text: str) -> Configuration:
    (tmp_path / "c").write_text(text)
    return configuration(parse(str(tmp_path / "c"), expand=True))


def service(config: Configuration, name: str) -> ServiceConfig:
    return next(one for one in config.services if one.name == name)


# features F.1: name, type, user, chroot, process_limit, process_min_avail, client_limit, service_count
TABLE = [
    ("anvil", "anvil", "dovecot", "empty", 1, 1, 1000, 0),
    ("auth", "", "dovecot", "", 1, 0, 1000, 0),
    ("auth-worker", "worker", "", "", 100, 0, 1, 0),
    ("config", "config", "", "", 100, 0, 1000, 0),
    ("log", "log", "", "", 1, 0, 1000, 0),
    ("imap-login", "login", "dovenull", "login", 100, 0, 1000, 1),
    ("pop3-login", "login", "dovenull", "login", 100, 0, 1000, 1),
    ("imap", "", "", "", 1024, 0, 1, 1),
    ("pop3", "", "", "", 1024, 0, 1, 1),
    ("lmtp", "", "", "", 100, 0, 1, 0),
    ("doveadm", "", "", "", 100, 0, 1, 1),
    ("stats", "", "dovecot", "", 1, 0, 1000, 0),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_defaults_are_dovecots(tmp_path: Path, row: tuple[object, ...]) -> None:
    found = service(made(tmp_path, ""), str(row[0]))
    assert (
        found.name,
        found.type,
        found.user,
        found.chroot,
        found.process_limit,
        found.process_min_avail,
        found.client_limit,
        found.service_count,
    ) == row
    assert found.vsz_limit == 256 * 2**20
    assert found.idle_kill == (0xFFFFFFFF if row[0] in ("anvil", "config", "log", "stats") else 60)


def test_sockets_of_auth(tmp_path: Path) -> None:
    auth = service(made(tmp_path, "base_dir = /x/\n"), "auth")
    assert {(one.path, oct(one.mode), one.user) for one in auth.listeners} == {
        ("/x/auth-client", "0o600", "dovecot"),
        ("/x/auth-login", "0o600", "dovecot"),
        ("/x/auth-master", "0o600", ""),
        ("/x/auth-userdb", "0o666", "dovecot"),
        ("/x/login/login", "0o666", ""),
        ("/x/token-login/tokenlogin", "0o666", ""),
    }


def test_ports(tmp_path: Path) -> None:
    text = "listen = 127.0.0.1, ::1\nservice imap-login {\n inet_listener imap {\n  port = 0\n }\n}\n"
    config = made(tmp_path, text)
    assert service(config, "imap-login").listeners == (
        Listener("inet", "imaps", addresses=("127.0.0.1", "::1"), port=993, ssl=True),
    )
    assert [one.name for one in service(made(tmp_path, "ssl = no\n"), "imap-login").listeners] == ["imap"]


def test_names_and_limits_are_filled_in(tmp_path: Path) -> None:
    config = made(
        tmp_path,
        "default_internal_user = me\ndefault_client_limit = 7\ndefault_idle_kill = 5 s\n"
        "default_vsz_limit = 1G\n"
        "service x {\n executable = x\n user = $default_internal_user\n unix_listener /a/b {\n mode = 0660\n"
        " group = $default_internal_group\n }\n unix_listener off {\n mode = 0\n }\n}\n",
    )
    found = service(config, "x")
    assert (found.user, found.client_limit, found.idle_kill, found.vsz_limit) == ("me", 7, 5, 2**30)
    assert found.listeners == (Listener("unix", "/a/b", "/a/b", 0o660, "", "dovecot"),)


def test_only_services_of_enabled_protocols(tmp_path: Path) -> None:
    config = made(tmp_path, "protocols = pop3 pop3\n")
    names = {one.name for one in config.services}
    assert "pop3-login" in names
    assert "imap-login" not in names
    assert "auth" in names
    assert config.protocols == ("pop3",)


def test_json_keeps_everything(tmp_path: Path) -> None:
    config = made(tmp_path, "mail_debug = yes\nprotocol imap {\n mail_home = x\n}\nmail_home = y\n")
    assert config.warnings
    assert Configuration.from_json(config.to_json()) == config
    assert config.settings["mail_debug"] == "yes"
    assert config.settings["mail_fsync"] == "optimized"
