"""quota_rule and its relatives: what is written, and what it comes to."""

import pytest

from pydovecot.model.errors import InternalError
from pydovecot.plugins.quota.plugin import BACKEND_LIMITS
from pydovecot.plugins.quota.quota import first_reached
from pydovecot.plugins.quota.roots import QuotaSettings, read
from pydovecot.plugins.quota.rules import Limits, Rules


def rules(*texts: str) -> Rules:
    made = Rules()
    for text in texts:
        made.add(text, BACKEND_LIMITS["count"])
    return made


def settings(**plugin: str) -> QuotaSettings:
    return read(plugin, lambda text: text.replace("%u", "alice"), BACKEND_LIMITS)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("*:storage=1", Limits(1024)),
        ("*:storage=1M", Limits(1 << 20)),
        ("*:storage=10GB", Limits(10 << 30)),
        ("*:bytes=500b:messages=2k", Limits(500, 2048)),
        ("*:bytes=1T", Limits(1 << 40)),
        ("*:bytes=0", Limits()),
    ],
)
def test_units(text: str, limits: Limits) -> None:
    assert rules(text).default == limits
    assert rules(text).limits("INBOX", limits) == limits


def test_mailboxes_get_more_or_less_or_do_not_count() -> None:
    made = rules(
        "*:bytes=1000:messages=10", "Trash:bytes=+100", "Spam*:bytes=+20%:messages=-50%", "Free:ignore"
    )
    assert made.limits("Trash", made.default) == Limits(1100, 10)
    assert made.limits("Spam/2026", made.default) == Limits(1200, 5)
    assert made.limits("Free", made.default) == Limits()
    assert made.ignores("Free") and not made.ignores("Freed") and not made.ignores("Trash")
    assert made.limits("Trash", Limits()) == Limits()  # more than unlimited there is not


def test_a_later_rule_for_the_same_mailbox_adds_to_it() -> None:
    made = rules("*:bytes=1000", "inbox:bytes=+1", "INBOX:messages=+2")
    assert len(made.of_mailboxes) == 1
    assert made.limits("INBOX", Limits(1000, 5)) == Limits(1001, 7)


def test_star_goes_before_what_the_backend_keeps() -> None:
    assert rules("*:bytes=1").forced
    assert not rules("?:bytes=1").forced


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("storage=1M", "Invalid rule"),
        ("*:storage=x", "Invalid storage limit: x"),
        ("*:storage=1X", "Invalid rule limit value 'storage=1X': Unknown unit: X"),
        ("*:storage=+1", "Rule limit cannot have '+'"),
        ("*:storage=-1", "Bytes limit can't be negative"),
        ("*:messages=-1", "Count limit can't be negative"),
        ("*:storage=10%", "Default rule can't be a percentage"),
        ("Trash:storage=-100%", "Invalid percentage"),
        ("*:size=1", "Unknown rule limit name: size"),
        ("*:backend=1000S", "backend rule not supported"),
    ],
)
def test_nonsense_is_named(rule: str, problem: str) -> None:
    with pytest.raises(InternalError) as caught:
        settings(quota="count:User quota", quota_rule=rule)
    problem_in = "Failed to initialize quota: Invalid quota root quota: Invalid rule "
    assert str(caught.value).startswith(problem_in + rule)
    assert problem in str(caught.value)


def test_roots_with_their_own_rules() -> None:
    made = settings(
        quota="count:User quota:hidden:ns=:noenforcing",
        quota_rule="*:bytes=1",
        quota_rule2="Trash:bytes=+1",
        quota_rule4="Never:bytes=+1",
        quota2="count:%u",
        quota2_rule="*:bytes=2",
        quota_exceeded_message="Full,\n %u\n",
        quota_max_mail_size="1k",
    )
    first, second = made.roots
    assert (first.name, first.hidden, first.enforcing, first.namespace) == ("User quota", True, False, "")
    assert [rule.mask for rule in first.rules.of_mailboxes] == ["Trash"]
    assert (second.name, second.rules.default.octets, second.namespace) == ("alice", 2, None)
    assert (made.exceeded, made.max_mail_size) == ("Full, alice", 1024)


@pytest.mark.parametrize(
    ("plugin", "problem"),
    [
        ({"quota": "nothing:x"}, "Invalid quota root quota: Unknown quota backend: nothing"),
        ({"quota": "count:x:foo"}, "Quota root x: count quota init failed: Unknown parameter for backend "),
        ({"quota": "count", "quota_warning": "storage=1"}, "Invalid warning rule: storage=1"),
        ({"quota": "count", "quota_grace": "10x"}, "Invalid quota_grace value '10x'"),
        ({"quota_max_mail_size": "big"}, "quota_max_mail_size: Invalid size: big"),
    ],
)
def test_settings_that_make_no_sense(plugin: dict[str, str], problem: str) -> None:
    with pytest.raises(InternalError, match="Failed to initialize quota: ") as caught:
        settings(**plugin)
    assert problem in str(caught.value)


def test_no_quota_is_nothing_to_do() -> None:
    assert settings().empty
    assert settings(quota="").empty
    assert settings(quota_rule="*:bytes=1").empty


@pytest.mark.parametrize(
    ("before", "now", "command"),
    [
        (Limits(700), Limits(790), None),
        (Limits(700), Limits(800), "w 80"),
        (Limits(700), Limits(999), "w 95"),  # the first one only
        (Limits(960), Limits(999), None),
        (Limits(1000), Limits(999), "w below"),
        (Limits(0, 1), Limits(0, 2), "w two"),
    ],
)
def test_a_warning_is_for_passing_its_limit(before: Limits, now: Limits, command: str | None) -> None:
    made = rules("*:bytes=1000")
    for text in ("bytes=95% w 95", "storage=80% w 80", "-bytes=100% w below", "messages=2 w two"):
        made.add_warning(text)
    found = first_reached(made.warnings, before, now, made.default)
    assert (found.command if found else None) == command


@pytest.mark.parametrize(("text", "octets"), [("10%", 100), ("50 M", 50 << 20), ("7", 7), ("1k", 1024)])
def test_grace(text: str, octets: int) -> None:
    made = rules("*:bytes=1000")
    made.set_grace(text)
    assert made.grace.of(made.default.octets) == octets
