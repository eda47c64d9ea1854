"""What travels from the config service to a process, and the view made of it."""

import socket
import threading
import time
from pathlib import Path

import pytest

from pydovecot.services.config.requests import Answers, ProtocolError, Requests
from pydovecot.settings.client import fetch, from_file, parse_answer
from pydovecot.settings.declare import Settings, boolean, nested, string, strvar, uint
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.parser import parse
from pydovecot.settings.tree import Tree
from pydovecot.settings.wire import ServiceSettings, render

CONF = """
mail_location = maildir:~/Maildir
mail_max_userip_connections = 10
doveadm_password = secret
ssl_key = <key.pem
passdb {
  driver = static
  args = password=x
}
namespace inbox {
  inbox = yes
  mailbox "Sent Messages" {
    special_use = \\Sent
  }
  mailbox a/b=c {
    auto = create
  }
}
namespace {
  prefix = other/
}
plugin {
  quota = maildir:x
  a/b = c
}
protocol imap {
  mail_max_userip_connections = 20
}
remote 10.0.0.0/8 {
  mail_max_userip_connections = 99
  protocol pop3 {
    mail_location = never
  }
  namespace inbox {
    hidden = yes
  }
}
local_name mail.example {
  mail_location = "tab\\ttab"
}
"""


class MailSettings(Settings):
    mail_location = strvar("", doc="x")
    mail_max_userip_connections = uint(10, doc="x")
    mail_debug = boolean("no", doc="x")


class MailboxSettings(Settings):
    section = "mailbox"
    auto = string("no", doc="x")
    special_use = string("", doc="x")


class NamespaceSettings(Settings):
    section = "namespace"
    name = string("", doc="x")
    prefix = strvar("", doc="x")
    inbox = boolean("no", doc="x")
    hidden = boolean("no", doc="x")
    mailbox = nested(MailboxSettings)


class PassdbSettings(Settings):
    section = "passdb"
    driver = string("", doc="x")
    args = string("", doc="x")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "key.pem").write_text("-----BEGIN\nkey\n")
    (tmp_path / "c").write_text(CONF)
    return parse(str(tmp_path / "c"), expand=True)


def settings(tree: Tree, service: str, protocol: str) -> ServiceSettings:
    return ServiceSettings(render(tree, service, protocol, filters=True))


def test_values_of_the_protocol(tree: Tree) -> None:
    view = settings(tree, "imap", "imap").view
    found = view.get(MailSettings)
    assert (found.mail_location, found.mail_max_userip_connections) == ("maildir:~/Maildir", 20)
    assert view.get(MailSettings) is found


def test_sections_with_names_that_need_escapes(tree: Tree) -> None:
    spaces = settings(tree, "imap", "imap").view.sections(NamespaceSettings)
    assert [(space.section_name, space.name, space.prefix) for space in spaces] == [
        ("inbox", "inbox", ""),
        ("", "", "other/"),
    ]
    assert [(one.section_name, one.auto, one.special_use) for one in spaces[0].mailbox] == [
        ("Sent Messages", "no", "\\Sent"),
        ("a/b=c", "create", ""),
    ]


def test_plugin_keys(tree: Tree) -> None:
    assert dict(settings(tree, "imap", "imap").view.plugin) == {"quota": "maildir:x", "a/b": "c"}


def test_connections_have_views_of_their_own(tree: Tree) -> None:
    imap = settings(tree, "imap", "imap")
    assert imap.view_for(remote_ip="192.0.2.1") is imap.view
    inside = imap.view_for(remote_ip="10.1.1.1")
    assert inside.get(MailSettings).mail_max_userip_connections == 99
    assert inside.get(MailSettings).mail_location == "maildir:~/Maildir"
    assert [space.hidden for space in inside.sections(NamespaceSettings)] == [True, False]
    assert inside.sections(NamespaceSettings)[0].inbox
    named = imap.view_for(remote_ip="10.1.1.1", local_name="mail.example")
    assert named.get(MailSettings).mail_location == "tab\ttab".replace("\t", "t")
    assert imap.view_for(remote_ip="10.2.2.2") is inside
    pop3 = settings(tree, "pop3", "pop3").view_for(remote_ip="10.1.1.1")
    assert pop3.get(MailSettings).mail_location == "never"


def test_without_filters_views_are_free(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("mail_debug = yes\n")
    imap = settings(parse(str(tmp_path / "c")), "imap", "imap")
    assert not imap.has_filters
    assert imap.view_for(remote_ip="10.1.1.1") is imap.view


def test_secrets_go_to_their_owners_only(tree: Tree) -> None:
    imap, login, auth, doveadm = (
        render(tree, service, protocol)
        for service, protocol in (("imap", "imap"), ("imap-login", "imap"), ("auth", ""), ("doveadm", ""))
    )
    assert "secret" in doveadm
    assert "secret" not in imap + login + auth
    assert "password=x" in auth
    assert "password=x" not in imap + login + doveadm
    assert "BEGIN" in login
    assert "BEGIN" not in imap + auth


def test_a_key_that_cannot_be_read_stops_only_those_who_need_it(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "key.pem").unlink()
    render(tree, "imap", "imap")
    with pytest.raises(ConfigError, match=r"line 5: ssl_key: Can't open file .*key.pem: No such file"):
        render(tree, "imap-login", "imap")


def test_overrides_of_userdb_fields(tree: Tree) -> None:
    view = settings(tree, "imap", "imap").view
    changed = view.with_overrides(
        {
            "mail_location": "mbox:~",
            "mail": "maildir:/x",
            "quota_rule": "*:1G",
            "namespace/inbox/prefix": "I.",
            "plugin/quota": "dict",
        }
    )
    assert changed.get(MailSettings).mail_location == "maildir:/x"
    assert changed.sections(NamespaceSettings)[0].prefix == "I."
    assert dict(changed.plugin) == {"quota": "dict", "a/b": "c", "quota_rule": "*:1G"}
    assert view.get(MailSettings).mail_location == "maildir:~/Maildir"


def test_passdbs(tree: Tree) -> None:
    assert [one.driver for one in settings(tree, "auth", "").view.sections(PassdbSettings)] == ["static"]


def test_dialogue(tree: Tree) -> None:
    requests = Requests(Answers(tree))
    assert requests.feed(b"VERSION\tconfig\t2\t0\nREQ\tmodule=imap\tserv") == b""
    answer = requests.feed(b"ice=imap\n")
    assert answer.startswith(b"\n")
    assert answer.endswith(b"\n\n")
    assert b"\nmail_max_userip_connections=20\n" in answer
    assert b"filter" not in answer
    remote = requests.feed(b"REQ\tmodule=imap\tservice=imap\trip=10.0.0.1\n")
    assert b"\nmail_max_userip_connections=99\n" in remote


@pytest.mark.parametrize(
    "data",
    [b"HELLO\n", b"VERSION\tconfig\t3\t0\n", b"VERSION\tconfig\t2\t0\nFOO\n", b"x" * 9000, b"\0\xff\n"],
)
def test_other_protocols_are_refused(tree: Tree, data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Requests(Answers(tree)).feed(data)


def test_errors_travel(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "key.pem").unlink()
    requests = Requests(Answers(tree))
    answer = requests.feed(b"VERSION\tconfig\t2\t0\nREQ\tmodule=imap-login\tservice=imap\n")
    with pytest.raises(ConfigError, match="ssl_key: Can't open file"):
        parse_answer(answer)


def test_without_a_config_service_the_file_is_read(tree: Tree) -> None:
    view = from_file(tree.path, service="imap", protocol="imap").view
    assert view.get(MailSettings).mail_max_userip_connections == 20


def test_a_broken_answer_is_an_error() -> None:
    for answer in (b"", b"\n", b"\nmail_debug=yes\n"):
        with pytest.raises(ConfigError, match="closed the connection"):
            parse_answer(answer)


def test_fetch_is_quick_and_says_what_failed(tree: Tree, tmp_path: Path) -> None:
    path = str(tmp_path / "config")
    with pytest.raises(ConfigError, match=r"net_connect_unix\(.*config\) failed: No such file"):
        fetch(path, service="imap")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def serve() -> None:
        client, _ = server.accept()
        requests = Requests(Answers(tree))
        while data := client.recv(100):
            client.sendall(requests.feed(data))
        client.close()

    thread = threading.Thread(target=serve)
    thread.start()
    began = time.process_time()
    got = fetch(path, service="imap", protocol="imap")
    assert got.view.get(MailSettings).mail_max_userip_connections == 20
    # Both sides together are a few milliseconds; many times that would be felt at each login.
    assert time.process_time() - began < 0.5
    thread.join()
    server.close()
