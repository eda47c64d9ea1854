"""Which settings hold: precedence of filters, merging of sections, defaults of services."""

from pathlib import Path

import pytest

from pydovecot.settings.effective import connection_blocks, effective, merge, name_matches, protocol_matches
from pydovecot.settings.parser import parse
from pydovecot.settings.tree import Query, Tree


def read(tmp_path: Path, text: str) -> Tree:
    path = tmp_path / "c"
    path.write_text(text)
    return parse(str(path))


FILTERS = """
remote 10.0.0.0/8 {
  mail_home = remote8
  protocol imap {
    mail_home = remote8-imap
  }
}
remote 10.1.0.0/16 {
  mail_home = remote16
}
protocol imap {
  mail_home = imap
}
protocol !imap {
  mail_home = not-imap
}
local 192.0.2.1 {
  mail_home = local
}
local_name "a.example b.example" {
  mail_home = name
}
local_name *.c.example {
  mail_home = star
}
"""


@pytest.mark.parametrize(
    ("query", "home"),
    [
        (Query(), ""),
        (Query("imap"), "imap"),
        (Query("pop3"), "not-imap"),
        (Query("pop3", remote_ip="10.2.2.2"), "remote8"),
        (Query("imap", remote_ip="10.2.2.2"), "remote8-imap"),
        (Query("imap", remote_ip="10.1.2.2"), "remote16"),
        (Query("imap", remote_ip="::ffff:10.1.2.2"), "remote16"),
        (Query("imap", remote_ip="10.1.2.2", local_ip="192.0.2.1"), "local"),
        (Query("imap", local_ip="192.0.2.1", local_name="B.example"), "name"),
        (Query("imap", local_name="x.c.example"), "star"),
        (Query("imap", local_name="y.x.c.example"), "imap"),
        (Query("imap", remote_ip="2001:db8::1"), "imap"),
        (Query("imap", remote_ip="not an address"), "imap"),
    ],
)
def test_the_most_specific_filter_wins_whatever_the_order(tmp_path: Path, query: Query, home: str) -> None:
    tree = read(tmp_path, FILTERS)
    assert effective(merge(tree, query)).text("mail_home") == home


def test_filters_of_connections(tmp_path: Path) -> None:
    blocks = connection_blocks(read(tmp_path, FILTERS), "imap")
    assert [block.root.values["mail_home"].text for block in blocks] == [
        "remote8",
        "remote8-imap",
        "remote16",
        "local",
        "name",
        "star",
    ]
    assert all(not block.filter.protocol for block in blocks)


def test_matching() -> None:
    assert name_matches("*.a.b", "X.A.B")
    assert not name_matches("*.a.b", "a.b")
    assert not name_matches("a.*", "a.b")
    assert not name_matches("a", "")
    assert protocol_matches("!imap", "pop3")
    assert not protocol_matches("!imap", "")


def test_sections_in_filters_are_merged(tmp_path: Path) -> None:
    tree = read(
        tmp_path,
        "namespace a {\n prefix = x\n mailbox m {\n auto = create\n }\n}\npassdb {\n driver = one\n}\n"
        "protocol lda {\n namespace a {\n  prefix = y\n  mailbox n {\n   auto = no\n  }\n }\n"
        " passdb {\n  driver = two\n }\n plugin {\n  z = 1\n }\n}\nplugin {\n b = 2\n}\n",
    )
    merged = merge(tree, Query("lda"))
    space = merged.sections["namespace", "a"]
    assert space.values["prefix"].text == "y"
    assert [mailbox.name for mailbox in space.of_type("mailbox")] == ["n", "m"]
    assert [passdb.values["driver"].text for passdb in merged.of_type("passdb")] == ["two", "one"]
    assert set(merged.sections["plugin", ""].values) == {"b", "z"}
    assert tree.root.sections["namespace", "a"].values["prefix"].text == "x"


def test_defaults_of_services(tmp_path: Path) -> None:
    root = effective(merge(read(tmp_path, "service imap {\n client_limit = 5\n}\nservice x {\n}\n"), Query()))
    services = {service.title: service for service in root.children("service")}
    assert services["imap"].text("client_limit") == "5"
    assert services["imap"].text("process_limit") == "1024"
    assert services["imap-login"].text("service_count") == "1"
    assert services["x"].text("process_limit") == "0"
    listeners = {one.title: one for one in services["imap-login"].children("inet_listener")}
    assert (listeners["imaps"].text("port"), listeners["imaps"].text("ssl")) == ("993", "yes")
