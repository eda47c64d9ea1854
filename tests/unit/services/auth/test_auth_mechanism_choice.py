"""Which mechanisms are offered, and the words for those that cannot be."""

import pytest

from pydovecot.authdb.database import Database
from pydovecot.authdb.entry import BadDatabase
from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.services.auth.mechanisms import BadMechanism, choose
from tests.support.authlab import view_of

STATIC = "passdb {\n driver = static\n args = password=x\n}\n"
PAM = "passdb {\n driver = pam\n}\n"


def names(conf: str) -> list[str]:
    event = Event(ListSink())
    return [m.name for m in choose(Database(view_of(conf), event, workers=False), event)]


def test_order_is_the_settings() -> None:
    assert names("auth_mechanisms = login PLAIN login\n" + STATIC) == ["LOGIN", "PLAIN"]


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        (
            "auth_mechanisms = plain cram-md5\n" + PAM,
            "CRAM-MD5 mechanism can't be supported with given passdbs",
        ),
        ("auth_mechanisms = apop\n" + PAM, "APOP mechanism can't be supported with given passdbs"),
        ("auth_mechanisms = foo\n" + STATIC, "Unknown authentication mechanism 'FOO'"),
        ("", "No passdbs specified in configuration file. PLAIN mechanism needs one"),
        (
            "auth_mechanisms = anonymous\nauth_anonymous_username =\n" + STATIC,
            "ANONYMOUS listed in mechanisms, but anonymous_username not set",
        ),
    ],
)
def test_what_cannot_be_served_is_fatal(conf: str, text: str) -> None:
    with pytest.raises(BadMechanism) as caught:
        names(conf)
    assert str(caught.value) == text


def test_anonymous_needs_no_passdb() -> None:
    assert names("auth_mechanisms = anonymous\n") == ["ANONYMOUS"]


def test_what_we_do_not_have_yet_is_said_and_left_out() -> None:
    sink = ListSink()
    event = Event(sink)
    conf = "auth_mechanisms = plain gssapi\n" + STATIC
    assert [m.name for m in choose(Database(view_of(conf), event, workers=False), event)] == ["PLAIN"]
    assert "GSSAPI is not implemented yet" in sink.lines[0][1]


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ("passdb {\n driver = nope\n}\n", "Unknown passdb driver 'nope'"),
        ("passdb {\n args = x\n}\n", "passdb is missing driver"),
        ("passdb {\n driver = ldap\n}\n", "Support not compiled in for passdb driver 'ldap'"),
        ("passdb {\n driver = sql\n}\n", "passdb sql: Configuration file path not given"),
        ("userdb {\n driver = sql\n args = /no\n}\n", "userdb open(/no) failed: No such file or directory"),
        (
            "passdb {\n driver = python\n args = no_such_module:find\n}\n",
            "passdb python: import of no_such_module failed: "
            "ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("passdb {\n driver = python\n args = os:no_such\n}\n", "passdb python: os has no function no_such"),
        (
            "userdb {\n driver = python\n args = os\n}\n",
            "userdb python: args must be module:function or /path/file.py:function, not 'os'",
        ),
        ("userdb {\n driver = nope\n}\n", "Unknown userdb driver 'nope'"),
        ("passdb {\n driver = pam\n args = foo=bar x\n}\n", "pam: Unknown setting: foo=bar"),
        ("passdb {\n driver = passwd-file\n}\n", "passdb passwd-file: Missing args"),
    ],
)
def test_databases_that_cannot_be_used(conf: str, text: str) -> None:
    with pytest.raises(BadDatabase) as caught:
        Database(view_of(conf), Event(ListSink()), workers=False)
    assert str(caught.value) == text
