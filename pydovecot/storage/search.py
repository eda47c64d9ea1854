"""Evaluation of model.search (MIME replaces this first version)."""

from collections.abc import Sequence
from typing import Any

from pydovecot.model.numbers import Seq
from pydovecot.model.search import All, HasFlag, Key, Not
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column


def evaluate(view: Any, key: Key) -> Sequence[Seq]:
    every = SeqSet.from_ranges([(1, max(1, len(view.uids)))])
    if isinstance(key, All):
        return [Seq(seq) for seq in range(1, len(view.uids) + 1)]
    if isinstance(key, HasFlag):
        return [s for s, f in view.rows(every, (Column.SEQ, Column.SYSTEM_FLAGS)) if f & key.flag]
    if isinstance(key, Not):
        inner = set(evaluate(view, key.key))
        return [Seq(seq) for seq in range(1, len(view.uids) + 1) if seq not in inner]
    raise NotImplementedError(key)
