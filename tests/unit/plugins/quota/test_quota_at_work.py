"""Several roots and namespaces, over memory stores: what counts where."""

import itertools

import pytest

from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.model.flags import NO_FLAGS, FlagSet
from pydovecot.model.seqset import SeqSet
from pydovecot.plugins.quota import plugin
from pydovecot.plugins.quota.quota import Quota
from pydovecot.plugins.quota.rules import Limits
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser

PLAIN = FlagSet(NO_FLAGS, frozenset())
serial = itertools.count(1)


def store(
    *, errors: list[str] | None = None, service: str = "imap", mail_plugins: str = "quota", **settings: str
) -> UserStore:
    number = next(serial)
    view = MemoryView(
        {"mail_location": f"memory:quota{number}", "mail_plugins": mail_plugins},
        NamespaceSettings(section_name="inbox", inbox=True, separator="/"),
        NamespaceSettings(
            section_name="archive", prefix="Archive/", separator="/", location=f"memory:archive{number}"
        ),
        NamespaceSettings(
            section_name="alias", prefix="Old/", separator="/", location=f"memory:archive{number}",
            alias_for="Archive/", list="no",
        ),
        NamespaceSettings(
            section_name="public", prefix="Public/", separator="/", type="public",
            location=f"memory:public{number}",
        ),
        plugin={"quota_vsizes": "yes", **settings},
    )  # fmt: skip
    told = errors if errors is not None else list[str]()
    made = open_store(StorageUser("alice", "/nonexistent", service, {}, told.append), view)
    for name in ("Archive/Box", "Archive/Free", "Public/Box"):
        made.create(name)
    return made


def deliver(mails: UserStore, octets: int, name: str = "INBOX") -> None:
    save = mails.save(name)
    save.begin(PLAIN, None)
    save.write(b"x" * octets)
    save.finish()
    save.commit()


def used(mails: UserStore, root: str) -> Limits:
    quota = mails.plugins["quota"]
    assert isinstance(quota, Quota)
    found = quota.root(root)
    assert found is not None
    return found.usage.used()


def refused(mails: UserStore, octets: int, name: str = "INBOX") -> bool:
    try:
        deliver(mails, octets, name)
    except UserError as exc:
        assert exc.code is Code.OVERQUOTA
        return True
    return False


def test_a_root_for_each_namespace() -> None:
    mails = store(
        quota="count:User:ns=", quota_rule="*:bytes=100",
        quota2="count:Archive:ns=Archive/", quota2_rule="*:bytes=1000",
    )  # fmt: skip
    assert not refused(mails, 90)
    assert refused(mails, 20)
    assert not refused(mails, 500, "Archive/Box")
    assert refused(mails, 501, "Archive/Box")
    assert not refused(mails, 5000, "Public/Box")
    assert (used(mails, "User"), used(mails, "Archive")) == (Limits(90, 1), Limits(500, 1))


def test_one_root_counts_all_private_namespaces_once() -> None:
    mails = store(quota="count:User", quota_rule="*:bytes=100")
    deliver(mails, 40)
    deliver(mails, 40, "Archive/Box")  # seen through Old/ as well
    deliver(mails, 5000, "Public/Box")
    assert used(mails, "User") == Limits(80, 2)


def test_an_alias_has_the_rules_of_what_it_stands_for() -> None:
    mails = store(quota="count:User", quota_rule="*:bytes=100", quota_rule2="Archive/Free:ignore")
    deliver(mails, 5000, "Old/Free")
    assert used(mails, "User") == Limits()
    assert refused(mails, 101, "Old/Box")


def test_the_narrowest_root_decides() -> None:
    mails = store(
        quota="count:A", quota_rule="*:bytes=1000",
        quota2="count:B", quota2_rule="*:messages=2",
        quota3="count:C:noenforcing", quota3_rule="*:bytes=1",
    )  # fmt: skip
    deliver(mails, 10)
    assert refused(mails, 991)
    deliver(mails, 10)
    assert refused(mails, 1)


def test_several_messages_of_one_step_count_together() -> None:
    mails = store(quota="count:User", quota_rule="*:bytes=100:messages=2")
    save = mails.save("INBOX")
    for octets in (60, 40):
        save.begin(PLAIN, None)
        save.write(b"x" * octets)
        save.finish()
    save.begin(PLAIN, None)
    save.write(b"x")
    with pytest.raises(UserError):
        save.finish()
    save.rollback()
    assert used(mails, "User") == Limits()


def test_grace_is_for_deliveries_and_for_one_message() -> None:
    mails = store(quota="count:User", quota_rule="*:bytes=100", quota_grace="20%")
    assert refused(mails, 101)
    mails = store(quota="count:User", quota_rule="*:bytes=100", quota_grace="20%", service="lmtp")
    assert refused(mails, 121)
    assert not refused(mails, 99)
    assert not refused(mails, 21)
    assert refused(mails, 1)


def test_copies_count_and_moves_do_not() -> None:
    mails = store(quota="count:User", quota_rule="*:bytes=100")
    deliver(mails, 90)
    view = mails.open("INBOX")
    with pytest.raises(UserError):
        view.copy(SeqSet.of([1]), "Archive/Box")
    view.move(SeqSet.of([1]), "Archive/Box")
    view.close()
    assert used(mails, "User") == Limits(90, 1)


def test_nobody_can_tell_is_no_reason_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[str] = []
    mails = store(quota="count:User", quota_rule="*:bytes=100", errors=errors)

    def broken() -> Limits:
        raise InternalError("the disk is on fire")

    quota = mails.plugins["quota"]
    assert isinstance(quota, Quota)
    monkeypatch.setattr(quota.roots[0].usage, "used", broken)
    deliver(mails, 5000)
    assert errors == [
        "quota: Failed to check if user is under quota: the disk is on fire - saving mail anyway"
    ]


def test_the_largest_message() -> None:
    mails = store(quota_max_mail_size="1k")
    deliver(mails, 1024)
    with pytest.raises(UserError) as caught:
        deliver(mails, 1025)
    assert caught.value.code is Code.LIMIT


def test_users_without_limit_need_not_be_tracked() -> None:
    mails = store(quota="count:User:ignoreunlimited")
    assert plugin.of_store(mails.plugins) is not None
    assert not refused(mails, 5000)
    assert plugin.of_store(mails.plugins).roots == []  # type: ignore[union-attr]


def test_nothing_is_there_without_the_plugin() -> None:
    mails = store(mail_plugins="", quota="count:User", quota_rule="*:bytes=1")
    assert mails.plugins == {}
    assert not refused(mails, 5000)


def test_count_wants_sizes_as_clients_see_them() -> None:
    with pytest.raises(InternalError, match="quota count backend requires quota_vsizes=yes"):
        store(quota="count:User", quota_vsizes="no")
