"""Mailbox names, LIST, subscriptions and renaming, for every driver."""

from collections.abc import Callable

import pytest

from pydovecot.model.errors import Code, UserError
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import ListEntry, ListOptions, MailboxGoneError
from pydovecot.storage.store import UserStore
from tests.contract.storage.helpers import append

OpenStore = Callable[[], UserStore]
SUBSCRIBED = ListOptions(subscribed=True, want_subscribed=True)


def names(store: UserStore, *patterns: str, options: ListOptions = ListOptions()) -> list[str]:
    return [entry.name for entry in store.list(patterns or ("*",), options)]


def entry(store: UserStore, name: str, options: ListOptions = ListOptions()) -> ListEntry:
    return {found.name: found for found in store.list(["*"], options)}[name]


def refused(call: Callable[[], object]) -> tuple[Code, str]:
    with pytest.raises(UserError) as caught:
        call()
    return caught.value.code, caught.value.text


def test_new_user_has_inbox_and_automatic_mailboxes(store: UserStore) -> None:
    assert names(store) == ["Trash", "INBOX"]
    assert entry(store, "Trash").special_use == ("\\Trash",)
    assert store.exists("Trash") and store.exists("inbox") and not store.exists("Sent")
    assert names(store, options=SUBSCRIBED) == ["Trash"]
    assert store.open("Trash").uidvalidity


def test_children_and_nodes(store: UserStore) -> None:
    store.create("a/b/c")
    store.create("d")
    assert names(store) == ["Trash", "a", "a/b", "a/b/c", "d", "INBOX"]
    assert (entry(store, "a").selectable, entry(store, "a").children) == (False, True)
    assert (entry(store, "a/b/c").selectable, entry(store, "a/b/c").children) == (True, False)
    assert names(store, "%") == ["Trash", "a", "d", "INBOX"]
    assert names(store, "%/%") == ["a/b"]
    assert names(store, "a*") == ["a", "a/b", "a/b/c"]
    assert names(store, "A", "d", "inbox") == ["d", "INBOX"]
    assert names(store, "*b*") == ["a/b", "a/b/c"]


def test_create_refuses_what_exists_and_bad_names(store: UserStore) -> None:
    store.create("a")
    assert refused(lambda: store.create("a")) == (Code.ALREADYEXISTS, "Mailbox already exists")
    assert refused(lambda: store.create("INBOX")) == (Code.ALREADYEXISTS, "Mailbox already exists")
    invalid = "Invalid mailbox name: "
    assert refused(lambda: store.create("")) == (Code.CANNOT, invalid + "Name is empty")
    assert refused(lambda: store.create("/x")) == (Code.CANNOT, invalid + "Begins with hierarchy separator")
    assert refused(lambda: store.create("x//y")) == (
        Code.CANNOT,
        invalid + "Has adjacent hierarchy separators",
    )
    assert refused(lambda: store.create("x//")) == (Code.CANNOT, invalid + "Ends with hierarchy separator")
    assert refused(lambda: store.create("~root")) == (Code.CANNOT, invalid + "Begins with '~'")
    assert refused(lambda: store.create("x" * 256))[0] is Code.CANNOT
    assert refused(lambda: store.create("/".join("y" * 300)))[0] is Code.CANNOT
    assert refused(lambda: store.create("a\tb"))[0] is Code.CANNOT


@pytest.mark.parametrize("name", ["Entwürfe", "日本語/台北", "a&b", "ü/&-", "x y", "a*b%c", 'q"\\'])
def test_any_text_is_a_name(store: UserStore, name: str) -> None:
    store.create(name)
    append(store, name)
    assert name in names(store)
    assert store.status(name).messages == 1


def test_missing_mailbox(store: UserStore) -> None:
    for call in (
        lambda: store.open("nix"),
        lambda: store.status("nix"),
        lambda: store.save("nix"),
        lambda: store.delete("nix"),
        lambda: store.rename("nix", "nux"),
        lambda: store.subscribe("nix"),
    ):
        assert refused(call) == (Code.NONEXISTENT, "Mailbox doesn't exist: nix")
    assert (
        refused(lambda: store.open("INBOX").copy(store.open("INBOX").seqs_of(_all()), "nix"))[0]
        is Code.NONEXISTENT
    )


def _all() -> SeqSet:
    return SeqSet(((1, 9),))


def test_delete_leaves_children(store: UserStore) -> None:
    store.create("a")
    if entry(store, "a").no_inferiors:
        pytest.skip("a file has no children")
    store.create("a/b")
    store.delete("a")
    assert names(store, "a*") == ["a", "a/b"]
    assert not entry(store, "a").selectable
    store.delete("a/b")
    assert "a/b" not in names(store)
    assert refused(lambda: store.delete("INBOX")) == (Code.NONE, "INBOX can't be deleted")


def test_rename_takes_children_along(open_one: OpenStore) -> None:
    store, other = open_one(), open_one()
    store.create("probe")
    if entry(store, "probe").no_inferiors:
        pytest.skip("a file has no children")
    store.delete("probe")
    for name in ("a", "a/b", "a/b/c", "ab"):
        store.create(name)
        append(store, name)
    other.status("a/b")
    validity = store.status("a/b/c").uidvalidity
    store.rename("a", "x/y")
    assert names(store) == ["Trash", "ab", "x", "x/y", "x/y/b", "x/y/b/c", "INBOX"]
    assert store.status("x/y/b/c").uidvalidity == validity
    assert other.status("x/y/b").messages == 1
    store.create("a")
    assert store.status("a").messages == 0


def test_rename_refusals(store: UserStore) -> None:
    store.create("a")
    store.create("b")
    assert refused(lambda: store.rename("a", "b")) == (Code.ALREADYEXISTS, "Target mailbox already exists")
    assert refused(lambda: store.rename("a", "a")) == (Code.ALREADYEXISTS, "Can't rename mailbox to itself")
    assert refused(lambda: store.rename("a", "a/c")) == (
        Code.NONE,
        "Can't rename mailbox under its own child",
    )
    assert refused(lambda: store.rename("a", "inbox"))[0] is Code.ALREADYEXISTS


def test_rename_of_inbox_moves_its_mail_only(store: UserStore) -> None:
    append(store, count=2)
    store.create("INBOX/child")
    store.rename("INBOX", "old")
    assert (store.status("INBOX").messages, store.status("old").messages) == (0, 2)
    assert names(store) == ["Trash", "old", "INBOX", "INBOX/child"]


def test_subscriptions(open_one: OpenStore) -> None:
    store, other = open_one(), open_one()
    for name in ("b", "q/w", "ü"):
        store.create(name)
        store.subscribe(name)
    store.subscribe("inbox")
    store.subscribe("b")
    assert names(other, options=SUBSCRIBED) == ["Trash", "b", "q/w", "ü", "INBOX"]
    store.delete("b")
    gone = entry(store, "b", SUBSCRIBED)
    assert (gone.exists, gone.selectable, gone.subscribed) == (False, False, True)
    assert names(store, "%", options=SUBSCRIBED) == ["Trash", "b", "ü", "INBOX"]
    parents = ListOptions(subscribed=True, recursive_match=True)
    q = {found.name: found for found in store.list(["%"], parents)}["q"]
    assert (q.subscribed, q.child_subscribed) == (False, True)
    store.unsubscribe("b")
    store.unsubscribe("never")
    assert names(other, options=SUBSCRIBED) == ["Trash", "q/w", "ü", "INBOX"]
    assert entry(store, "q/w", ListOptions(want_subscribed=True)).subscribed


def test_special_use_selection(store: UserStore) -> None:
    store.create("Sent")
    store.create("other")
    assert names(store, options=ListOptions(special_use=True)) == ["Sent", "Trash"]


def test_renamed_mailbox_is_not_mistaken_for_its_successor(open_one: OpenStore) -> None:
    store, other = open_one(), open_one()
    store.create("a")
    append(store, "a", count=2)
    assert other.status("a").messages == 2
    view = other.open("a")
    store.rename("a", "x")
    store.create("a")
    assert (other.status("a").messages, other.status("x").messages) == (0, 2)
    try:
        view.sync()
    except MailboxGoneError:
        return
    assert len(view.uids) == 2
