"""Several namespaces: prefixes, separators, what is listed, where subscriptions are kept, and refusals."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import ListOptions
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.location import Location, parse
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.contract.storage.helpers import ALL, append


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    settings = MemoryView(
        {"mail_location": "maildir:%h/Maildir"},
        NamespaceSettings(section_name="inbox", inbox=True, prefix="INBOX/", separator="/"),
        NamespaceSettings(
            section_name="public", type="public", prefix="Public/%d/", separator="/", subscriptions=False,
            location=f"maildir:{tmp_path}/public:LAYOUT=fs:INDEX=~/public-index", list="children",
        ),
        NamespaceSettings(
            section_name="old", prefix="", separator="/", hidden=True, list="no",
            location="maildir:%h/Maildir",
            alias_for="INBOX/",
            subscriptions=False,
        ),
    )  # fmt: skip
    made = open_store(StorageUser("alice@example.org", str(tmp_path / "home")), settings)
    (tmp_path / "home").mkdir()
    (tmp_path / "public").mkdir()
    yield made
    made.close()


def names(store: UserStore, *patterns: str, options: ListOptions = ListOptions()) -> list[str]:
    return [entry.name for entry in store.list(patterns or ("*",), options)]


def refused(store: UserStore, call: str, *args: str) -> tuple[Code, str]:
    with pytest.raises(UserError) as caught:
        getattr(store, call)(*args)
    return caught.value.code, caught.value.text


def test_namespace_command(store: UserStore) -> None:
    assert [(n.kind, n.prefix, n.separator, n.inbox, n.hidden, n.listed) for n in store.namespaces] == [
        ("private", "INBOX/", "/", True, False, True),
        ("public", "Public/example.org/", "/", False, False, True),
        ("private", "", "/", False, True, False),
    ]


def test_names_and_listing(store: UserStore, tmp_path: Path) -> None:
    assert names(store) == ["INBOX"]
    store.create("INBOX/a/b")
    store.create("Public/example.org/News")
    assert (tmp_path / "home/Maildir/.a.b/cur").is_dir()
    assert (tmp_path / "public/News/cur").is_dir()
    assert names(store) == [
        "Public",
        "Public/example.org",
        "Public/example.org/News",
        "INBOX",
        "INBOX/a",
        "INBOX/a/b",
    ]
    assert names(store, "%") == ["Public", "INBOX"]
    assert names(store, "INBOX/%") == ["INBOX/a"]
    append(store, "Public/example.org/News")
    assert (tmp_path / "home/public-index/pydovecot.index").exists()
    assert not (tmp_path / "public/pydovecot.index").exists()


def test_unlisted_namespace_is_the_same_mail_by_other_names(store: UserStore) -> None:
    store.create("INBOX/a")
    append(store, "a", count=2)
    assert store.status("INBOX/a").messages == 2
    assert "a" not in names(store)


def test_copy_and_move_between_namespaces(store: UserStore) -> None:
    store.create("Public/example.org/News")
    append(store, count=3, keywords=["k"])
    view = store.open("INBOX")
    view.copy(ALL, "Public/example.org/News")
    view.move(ALL, "Public/example.org/News")
    assert list(view.sync().expunged) == [1, 2, 3]
    news = store.open("Public/example.org/News")
    assert (len(news.uids), list(news.keywords)) == (6, ["k"])


def test_subscriptions_of_a_namespace_without_its_own(tmp_path: Path) -> None:
    settings = MemoryView(
        {"mail_location": "maildir:%h/Maildir"},
        NamespaceSettings(inbox=True, separator="/"),
        NamespaceSettings(
            type="public", prefix="Public/", separator="/", subscriptions=False,
            location=f"maildir:{tmp_path}/public",
        ),
    )  # fmt: skip
    store = open_store(StorageUser("alice", str(tmp_path / "home")), settings)
    for name in ("Public/News", "x"):
        store.create(name)
        store.subscribe(name)
    options = ListOptions(subscribed=True, want_subscribed=True)
    assert names(store, options=options) == ["Public/News", "x"]
    assert (tmp_path / "home/Maildir/subscriptions").read_text() == "V\t2\n\nPublic\tNews\nx\n"
    assert not (tmp_path / "public/subscriptions").exists()
    store.close()


def test_subscriptions_by_an_alias_are_those_of_the_namespace_it_means(tmp_path: Path) -> None:
    settings = MemoryView(
        {"mail_location": f"maildir:{tmp_path}/Maildir"},
        NamespaceSettings(inbox=True, prefix="INBOX.", separator="."),
        NamespaceSettings(prefix="", separator=".", alias_for="INBOX.", hidden=True, list="no"),
    )
    store = open_store(StorageUser("alice"), settings)
    store.create("a.b")
    store.subscribe("a.b")
    options = ListOptions(subscribed=True, want_subscribed=True)
    assert names(store, options=options) == ["INBOX.a.b"]
    assert (tmp_path / "Maildir/subscriptions").read_text() == "V\t2\n\na\tb\n"
    store.unsubscribe("INBOX.a.b")
    assert names(store, options=options) == []
    store.close()


def test_namespace_that_fails_can_be_done_without(tmp_path: Path) -> None:
    spaces = [
        NamespaceSettings(inbox=True, separator="/"),
        NamespaceSettings(prefix="x/", separator="/", location="nosuch:/x", ignore_on_failure=True),
    ]
    view = MemoryView({"mail_location": f"maildir:{tmp_path}"}, *spaces)
    assert [entry.prefix for entry in open_store(StorageUser("u"), view).namespaces] == [""]
    view = MemoryView(
        {"mail_location": f"maildir:{tmp_path}"}, spaces[0], spaces[1].replace(ignore_on_failure=False)
    )
    with pytest.raises(InternalError, match="Unknown mail storage driver"):
        open_store(StorageUser("u"), view)


def test_refusals(store: UserStore) -> None:
    store.create("INBOX/a")
    assert refused(store, "create", "INBOX/a.b") == (
        Code.CANNOT,
        "Character not allowed in mailbox name: '.'",
    )
    assert refused(store, "create", "Public/example.org/cur")[1].endswith("Contains reserved name")
    assert refused(store, "create", "Public/example.org/../x")[1].endswith("Contains '..' part")
    assert refused(store, "rename", "INBOX/a", "Public/example.org/a") == (
        Code.CANNOT, "Renaming not supported across non-private namespaces.",
    )  # fmt: skip
    store.create("Public/example.org/b")
    assert refused(store, "subscribe", "Public/example.org/b")[1] == "This namespace has no subscriptions"
    assert refused(store, "open", "Public/example.org/") == (
        Code.CANNOT, "Invalid mailbox name 'Public/example.org/': Ends with hierarchy separator",
    )  # fmt: skip


def test_no_namespace_for_a_name(tmp_path: Path) -> None:
    settings = MemoryView(
        {"mail_location": f"maildir:{tmp_path}"}, NamespaceSettings(inbox=True, prefix="INBOX.")
    )
    store = open_store(StorageUser("u"), settings)
    assert refused(store, "create", "foo") == (
        Code.NONEXISTENT,
        "Client tried to access nonexistent namespace."
        " (Mailbox name should probably be prefixed with: INBOX.)",
    )
    store.create("Inbox.foo")
    assert names(store) == ["INBOX", "INBOX.foo"]


@pytest.mark.parametrize(
    ("spaces", "text"),
    [
        (
            [NamespaceSettings(inbox=True), NamespaceSettings(inbox=True, prefix="x/")],
            "only one namespace with inbox=yes",
        ),
        ([NamespaceSettings()], "inbox=yes namespace missing"),
        ([NamespaceSettings(inbox=True), NamespaceSettings()], "Duplicate namespace prefix"),
        ([NamespaceSettings(inbox=True, subscriptions=False)], "subscriptions=yes namespace missing"),
        ([NamespaceSettings(inbox=True, prefix="inbox/")], "must be uppercase INBOX"),
        ([NamespaceSettings(inbox=True, separator="//")], "only one character long"),
        (
            [NamespaceSettings(inbox=True, separator="/"), NamespaceSettings(prefix="x.", separator=".")],
            "must use the same separator",
        ),
    ],
)
def test_bad_configurations(spaces: list[NamespaceSettings], text: str) -> None:
    with pytest.raises(InternalError, match=text):
        open_store(StorageUser("u"), MemoryView({"mail_location": "memory:bad"}, *spaces))


def test_locations(tmp_path: Path) -> None:
    home = str(tmp_path)
    assert parse("maildir:~/Maildir", home) == Location("maildir", f"{home}/Maildir")
    assert parse("maildir:/m/:INDEX=~/i:LAYOUT=FS:CONTROL=/c", home) == Location(
        "maildir", "/m", {"INDEX": f"{home}/i", "LAYOUT": "fs", "CONTROL": "/c"}
    )
    assert parse("maildir:/odd::name:UTF-8", home) == Location("maildir", "/odd:name", {"UTF-8": "yes"})
    (tmp_path / "Maildir" / "cur").mkdir(parents=True)
    assert parse("", home) == Location("maildir", f"{home}/Maildir")
    assert parse("~/Maildir", home) == Location("maildir", f"{home}/Maildir")
    for bad in ("maildir:~/x", "maildir:/m:NONSENSE=1"):
        with pytest.raises(InternalError):
            parse(bad, "")
    with pytest.raises(InternalError, match="autodetection failed"):
        parse("", str(tmp_path / "nobody"))


def test_names_on_disk_that_are_no_mutf7(tmp_path: Path) -> None:
    for name in (b".&broken", b".caf\xe9", b".ok"):
        (tmp_path / name.decode("utf-8", "surrogateescape") / "cur").mkdir(parents=True)
    store = open_store(
        StorageUser("u"), MemoryView({"mail_location": f"maildir:{tmp_path}"}, NamespaceSettings(inbox=True))
    )
    found = names(store)
    assert len(found) == 4 and "ok" in found
    for name in found:
        append(store, name)
        assert store.status(name).messages == 1
    store.close()
