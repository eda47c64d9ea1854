"""SORT and THREAD: what is kept gives the answers that a new look gives; forests lose and double nobody."""

import itertools
import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydovecot.model.flags import FlagSet
from pydovecot.model.seqset import SeqSet
from pydovecot.model.sort import SortBy, SortKey, ThreadKind
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Store, View
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.ordering import forest as forest_module
from pydovecot.storage.ordering import ranks, references
from pydovecot.storage.ordering.forest import Forest, Threads, build
from pydovecot.storage.ordering.shelf import NoShelf
from pydovecot.storage.ordering.sorting import in_order
from pydovecot.storage.ordering.threading import thread_list, written
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support import oddheaders

QUICK = settings(max_examples=100, deadline=None)
texts = st.lists(st.text("abé", max_size=3), max_size=30)


def ranks_of(words: Sequence[str]) -> list[int]:
    """All ranks made at once."""
    counter = ranks.Counter()
    numbers = [counter.add(word) for word in words]
    return list(map(counter.ranks().__getitem__, numbers))


@QUICK
@given(texts)
def test_ranks_compare_like_texts(words: list[str]) -> None:
    found = ranks_of(words)
    assert sorted(range(len(words)), key=found.__getitem__) == sorted(
        range(len(words)), key=words.__getitem__
    )
    assert [rank == 0 for rank in found] == [word == "" for word in words]


@QUICK
@given(texts, texts, st.data())
def test_ranks_inserted_are_those_made_at_once(old: list[str], new: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, max(0, len(old) - 1))))
    both = zip(old, ranks_of(old), strict=True)
    kept = [pair for at, pair in enumerate(both) if at not in gone]
    words = [word for word, _ in kept]
    asked: list[int] = []

    def text_at(place: int) -> str:
        asked.append(place)
        return words[place]

    before = ranks.compact([rank for _, rank in kept]) + [0] * len(new)
    found = ranks.insert(before, dict(enumerate(new, len(words))), text_at)
    assert found == ranks_of([*words, *new])
    assert len(asked) == len(set(asked))


# A message: its own identifier, and those that it refers to. Identifiers are 1..6.
messages = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=5), max_size=12)
numbers_of = re.compile(rb"\d+").findall


@QUICK
@given(messages, st.randoms(use_true_random=False))
def test_each_message_is_in_one_thread(mails: list[list[int]], chance: random.Random) -> None:
    order = list(range(len(mails)))
    chance.shuffle(order)
    dates = [chance.randrange(4) for _ in mails]
    subjects = [chance.randrange(6) for _ in mails]
    for kind in (ThreadKind.REFERENCES, ThreadKind.REFS):
        forest = joined([(place, mails[place]) for place in order], 6)
        assert_no_loops(forest.parent)
        threads = Threads(forest, dates)
        roots = (
            references.references(threads, subjects)
            if kind is ThreadKind.REFERENCES
            else references.refs(threads, forest)
        )
        answer = written(threads, roots, range(1, len(mails) + 1))
        assert sorted(map(int, numbers_of(answer))) == list(range(1, len(mails) + 1))
        assert answer.count(b"(") == answer.count(b")")


def joined(mails: Sequence[tuple[int, list[int]]], highest: int) -> Forest:
    """`build` of mails one by one."""
    ends = list(itertools.accumulate(len(numbers) for _, numbers in mails))
    spans = zip((place for place, _ in mails), [0, *ends], ends, strict=False)
    return build([number for _, numbers in mails for number in numbers], spans, highest)


def assert_no_loops(parent: Sequence[int]) -> None:
    for node in range(len(parent)):
        seen = set()
        while node:
            assert node not in seen
            seen.add(node)
            node = parent[node]


@QUICK
@given(messages)
def test_parents_are_those_of_the_slow_way(mails: list[list[int]]) -> None:
    """The law of RFC 5256 3 (1) word by word, with a walk to the root for every link."""
    parent = [0] * 7
    owner = [-1] * 7

    def link(above: int, below: int) -> None:
        node = above
        while node and node != below:
            node = parent[node]
        if not node and not parent[below]:
            parent[below] = above

    for place, (own, *named) in enumerate(mails):
        if owner[own] >= 0:
            own = len(parent)
            parent.append(0)
            owner.append(-1)
        owner[own] = place
        for above, below in itertools.pairwise(named):
            link(above, below)
        last = named[-1] if named else 0
        if parent[own] != last:
            parent[own] = 0
        if last:
            link(last, own)
    found = joined(list(enumerate(mails)), 6)
    assert (found.parent, found.owner) == (parent, owner)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_deep_thread(backwards: bool) -> None:
    depth = 30_000
    chain = [(place, [place + 1, place] if place else [1]) for place in range(depth)]
    forest = joined(chain[::-1] if backwards else chain, depth)
    threads = Threads(forest, [0] * depth)
    subjects = [2] * depth
    answer = written(threads, references.references(threads, subjects), range(1, depth + 1))
    assert answer == b"(" + b" ".join(b"%d" % number for number in range(1, depth + 1)) + b")"
    assert references.refs(Threads(forest, [0] * depth), forest) == [1]


def test_looking_for_loops_ends_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deep trees that are cut and joined over and over: some links are left out, no message is."""
    depth, count = 300, 300
    mails = [[node + 1, node] if node else [1] for node in range(depth)]
    for star in range(depth + 1, depth + count, 2):
        mails.append([star + 1, star])
        mails.append([star, 1 + star % depth])
    mails += [[1 + node, depth + 1 + node] for node in range(0, depth, 3)]

    def steps(limit: int) -> tuple[int, Forest]:
        monkeypatch.setattr(forest_module, "_STEPS", limit)
        builder = forest_module._Builder(depth + count)
        for place, (own, *named) in enumerate(mails):
            builder.add(place, own, named)
        return builder._steps, Forest(builder.parent, builder.owner)

    left, whole = steps(100)
    assert left > 0
    left, cut_short = steps(0)
    assert left < 0
    for forest in (whole, cut_short):
        assert_no_loops(forest.parent)
        assert sorted(place for place in forest.owner if place >= 0) == list(range(len(mails)))


def open_folder(root: Path) -> Store:
    view = MemoryView(
        {"mail_location": f"maildir:{root}/Maildir"}, NamespaceSettings(section_name="inbox", inbox=True)
    )
    return open_store(StorageUser("tester", str(root)), view)


def save(store: Store, mails: Sequence[bytes]) -> None:
    saving = store.save("INBOX")
    for number, mail in enumerate(mails):
        saving.begin(FlagSet(), 1_500_000_000 + number * 7 % 5)
        saving.write(mail)
        saving.finish()
    saving.commit()


def assert_same_as_new(view: View) -> None:
    every = [seq for seq, _ in enumerate(view.uids, 1)]
    some = every[::2]
    for seqs in (every, some):
        for key in SortKey:
            for reverse in (False, True):
                program = (SortBy(key, reverse), SortBy(SortKey.SUBJECT, not reverse))
                assert view.sort(program, seqs) == in_order(view, NoShelf(), program, seqs)  # type: ignore[arg-type]
        for kind in ThreadKind:
            for uid in (False, True):
                fresh = thread_list(view, NoShelf(), kind, seqs, uid=uid)  # type: ignore[arg-type]
                assert view.thread(kind, seqs, uid=uid) == fresh  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_kept_stays_true(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    half = (list(oddheaders.sortable(seed, 60)), list(oddheaders.conversations(seed, 60)))
    mails = [mail for pair in zip(*half, strict=True) for mail in pair]
    store = open_folder(tmp_path)
    other = open_folder(tmp_path)
    view, theirs = store.open("INBOX"), other.open("INBOX")
    while mails:
        count = chance.choice((1, 1, 2, 40))
        save(store, mails[:count])
        del mails[:count]
        view.sync()
        assert_same_as_new(view)
        if chance.random() < 0.5 and len(view.uids) > 4:
            gone = sorted(chance.sample(range(1, len(view.uids) + 1), 3))
            view.expunge_seqs(SeqSet.of(gone))
            theirs.sync(expunges=False)  # shows messages that are gone
            every = [seq for seq, _ in enumerate(theirs.uids, 1)]
            answer = theirs.thread(ThreadKind.REFERENCES, every, uid=True)  # type: ignore[arg-type]
            assert sorted(map(int, numbers_of(answer))) == list(theirs.uids)
            assert sorted(theirs.sort((SortBy(SortKey.SUBJECT),), every)) == every  # type: ignore[arg-type]
            view.sync()
            assert_same_as_new(view)
            theirs.sync()
            assert_same_as_new(theirs)
    for each in (view, theirs):
        each.close()
    for user in (store, other):
        user.close()
