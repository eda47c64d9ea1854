"""% variables: letters, long names, modifiers, cuts, hashes, conditions."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.settings.expand import expand, expand_checked, has_variable, user_table

ALICE = {**user_table("Alice@Example.ORG", "/home/alice", "imap"), "lip": "10.0.0.1", "session": "AbC"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("%u", "Alice@Example.ORG"),
        ("%{user}", "Alice@Example.ORG"),
        ("%n at %d", "Alice at Example.ORG"),
        ("%Lu", "alice@example.org"),
        ("%Un", "ALICE"),
        ("%LRn", "ecila"),
        ("%h/%s", "/home/alice/imap"),
        ("%l %{local_ip}", "10.0.0.1 10.0.0.1"),
        ("%{session}", "AbC"),
        ("%{username}@%{domain}", "Alice@Example.ORG"),
        ("100%%", "100%"),
        ("%5u", "Alice"),
        ("%2.3n", "ice"),
        ("%-3n", "Ali"),
        ("%-2.1n", "c"),
        ("%010n", "00000Alice"),
        ("%LDd", "example,dc=org"),
        ("%Mn", "64489c85dc2fe0787b85cd87214b3810"),
        ("%2.4Mn", "489c"),
        ("%", ""),
        ("plain", "plain"),
    ],
)
def test_templates(template: str, expected: str) -> None:
    assert expand(template, ALICE) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("%{if;%d;eq;Example.ORG;yes;no}", "yes"),
        ("%{if;%d;ne;;%d;%{hostname}}", "Example.ORG"),
        ("%{if;5;>;10;a;b}", "b"),
        ("%{if;abc;lt;abd;a;b}", "a"),
        ("%{if;%n;*;A*e;glob;-}", "glob"),
        ("%{if;%n;!*;A*e;glob;-}", "-"),
        ("%{if;%n;~;^Al;regex;-}", "regex"),
        ("%{if;a;eq;a;x\\;y;z}", "x;y"),
        ("%{if;a;eq;b;x}", ""),
        ("%{if;a;eq;a;%{if;1;==;2;in;out};z}", "out"),
    ],
)
def test_conditions(template: str, expected: str) -> None:
    assert expand(template, ALICE) == expected


def test_hash_functions() -> None:
    assert expand("%{md5:username}", ALICE) == "64489c85dc2fe0787b85cd87214b3810"
    assert expand("%{sha1;format=base64:username}", {"username": "a"}) == "hvfkN/qlp/zhXR3cuerq6jd2Z7g="
    assert expand("%{sha256;rounds=2:username}", {"username": "a"}) == (
        "bf5d3affb73efd2ec6c36ad3112dd933efed63c4e1cbffcfa88e2759c144f2d8"
    )
    assert expand("%{sha256;truncate=12:username}", {"username": "a"}) == "0ca9"


def test_new_hash_spreads_over_directories() -> None:
    assert expand("%2.256Nu", {"user": "alice"}) == "f5"
    assert len(expand("%8.4294967295Nu", {"user": "alice"})) == 8


def test_functions_of_the_caller() -> None:
    fields = {"home": "/srv/alice"}
    assert expand("%{userdb:home}|%{userdb:none}", {}, {"userdb": fields.get}) == "/srv/alice|"


def test_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLOUR", "red")
    assert expand("%{env:COLOUR} %{pid} %{uid}", {}) == f"red {os.getpid()} {os.geteuid()}"


def test_unknown_variables_are_named() -> None:
    text, problems = expand_checked("%q %{nothing}", {})
    assert text == "UNSUPPORTED_VARIABLE_q UNSUPPORTED_VARIABLE_nothing"
    assert problems == ["Unknown variable '%q'", "Unknown variable '%{nothing}'"]


def test_has_variable() -> None:
    assert has_variable("%{if;%u;eq;a;b;c}", "u", "user")
    assert has_variable("/%Lu", "u", "user")
    assert not has_variable("%d %%u", "u", "user")


@given(st.text(alphabet="%{}uLndXHNM0123456789.-;:if eq\\", max_size=60))
def test_no_template_raises_or_explodes(template: str) -> None:
    text, _ = expand_checked(template, ALICE)
    assert len(text) <= 5000 * (template.count("%") + 1)
