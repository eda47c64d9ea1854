"""How a test takes a behaviour out of the server: small changes that pytest's monkeypatch undoes."""

from collections.abc import Callable, MutableMapping
from typing import Any

import pytest

TakeAway = Callable[[pytest.MonkeyPatch], None]


class _Whole:
    """A table that gets its rows back in their order: monkeypatch alone puts the lost one at the end."""

    def __init__(self, table: MutableMapping[Any, Any]) -> None:
        self._table, self._rows = table, dict(table)

    @property
    def whole(self) -> bool:
        return True

    @whole.setter
    def whole(self, whole: bool) -> None:
        if whole:
            self._table.clear()
            self._table.update(self._rows)


def without(table: MutableMapping[Any, Any] | dict[Any, Any], key: object) -> TakeAway:
    """The row `key` of a table."""

    def take(patch: pytest.MonkeyPatch) -> None:
        assert key in table, f"no row {key!r}"
        patch.setattr(_Whole(table), "whole", False)
        patch.delitem(table, key)

    return take


def instead(place: object, name: str, value: object) -> TakeAway:
    """An attribute of a module or class has another value."""
    return lambda patch: patch.setattr(place, name, value)


def fewer(place: object, name: str, *words: object) -> TakeAway:
    """A set of a module lacks some words."""

    def take(patch: pytest.MonkeyPatch) -> None:
        whole = getattr(place, name)
        assert set(words) <= set(whole), f"not all of {words} are in {name}"
        patch.setattr(place, name, frozenset(whole) - set(words))

    return take


def wrapped(place: object, name: str, wrap: Callable[[Any], Any]) -> TakeAway:
    """A function of a module or class becomes `wrap(it)`."""
    return lambda patch: patch.setattr(place, name, wrap(getattr(place, name)))
