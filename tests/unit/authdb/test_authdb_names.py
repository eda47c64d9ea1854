"""User names as clients write them and as they are looked up."""

import pytest

from pydovecot.authdb.names import NameRules
from pydovecot.authdb.request import AuthRequest, sanitize
from pydovecot.authdb.settings import AuthSettings


def set_user(name: str, **settings: object) -> tuple[AuthRequest, str | None]:
    request = AuthRequest()
    return request, NameRules(AuthSettings(**settings)).set_user(request, name)


@pytest.mark.parametrize(
    ("settings", "given", "user"),
    [
        ({}, "Alice", "alice"),
        ({"auth_username_format": "%u"}, "Alice", "Alice"),
        ({"auth_username_format": ""}, "Alice", "Alice"),
        ({"auth_username_format": "%Ln"}, "Alice@Example.Org", "alice"),
        ({"auth_username_format": "%Lu-%d"}, "Al@X.org", "al@x.org-X.org"),
        ({"auth_default_realm": "x.org"}, "alice", "alice@x.org"),
        ({"auth_default_realm": "x.org"}, "alice@y.org", "alice@y.org"),
        ({"auth_username_translation": "/@"}, "alice/x.org", "alice@x.org"),
        ({"auth_username_translation": "/@#@"}, "alice#x.org", "alice@x.org"),
        ({"auth_username_chars": ""}, "älice+:", "älice+:"),
    ],
)
def test_what_a_name_becomes(settings: dict[str, object], given: str, user: str) -> None:
    request, error = set_user(given, **settings)
    assert error is None
    assert (request.user, request.original_user, request.translated_user) == (user, given, user)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("", "Empty username"),
        ("a b", "Username character disallowed by auth_username_chars: 0x20 (username: a b)"),
        ("a\n", "Username character disallowed by auth_username_chars: 0x0a (username: a?)"),
        ("ä", "Username character disallowed by auth_username_chars: 0xc3 (username: ä)"),
        ("\udcff", "Username character disallowed by auth_username_chars: 0xff (username: ?)"),
    ],
)
def test_refused_names(given: str, text: str) -> None:
    request, error = set_user(given)
    assert error == text
    assert request.user is None


def test_master_separator() -> None:
    request, error = set_user("Alice*Boss", auth_master_user_separator="*")
    assert error is None
    assert (request.user, request.requested_login_user, request.original_user) == ("boss", "alice", "Boss")


def test_the_same_name_twice_is_no_master_login() -> None:
    request, error = set_user("alice*alice", auth_master_user_separator="*")
    assert error is None
    assert request.requested_login_user is None


def test_certificate_names_go_before_given_ones() -> None:
    request = AuthRequest(cert_username="Real")
    assert NameRules(AuthSettings(auth_ssl_username_from_cert=True)).set_user(request, "other") is None
    assert request.user == "real"
    request = AuthRequest(cert_username="Real")
    assert NameRules(AuthSettings()).set_user(request, "other") is None
    assert request.user == "other"


def test_sanitize() -> None:
    assert sanitize("a\tb\x00\udcff", 10) == "a?b??"
    assert sanitize("x" * 70, 64) == "x" * 61 + "..."


def test_log_id_and_variables() -> None:
    request = AuthRequest(user="a@x.y", rip="192.0.2.1", session="s", service="imap", mech="PLAIN")
    assert request.log_id() == "a@x.y,192.0.2.1,<s>"
    assert (
        request.expand("%u %n %d %s %r %m %{session} %{domain_last} %%")
        == "a@x.y a x.y imap 192.0.2.1 PLAIN s x.y %"
    )
    request.extra.add("foo", "bar")
    request.userdb_fields().add("home", "/h")
    assert request.expand("%{passdb:foo} %{userdb:home} %h %{passdb:none}") == "bar /h /h "
