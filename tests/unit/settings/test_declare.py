"""Declared settings give typed values, know their defaults, and hide what they hold."""

import pytest

from pydovecot.settings.declare import (
    BadValue,
    Settings,
    boolean,
    enum,
    nested,
    octal,
    size,
    strlist,
    time,
    uint,
)
from pydovecot.settings.memory import MemoryView


class Inner(Settings):
    section = "inner"
    auto = enum("no", "no:create", doc="x")


class Outer(Settings):
    limit = uint(10, doc="x")
    longest = size("64k", doc="x")
    pause = time("2 min", doc="x")
    on = boolean("yes", doc="x")
    mode = octal("0600", doc="x")
    words = strlist("a b", doc="x")
    inner = nested(Inner)


def test_defaults_are_typed() -> None:
    outer = Outer()
    assert (outer.limit, outer.longest, outer.pause, outer.on) == (10, 65536, 120, True)
    assert (outer.mode, outer.words, outer.inner) == (0o600, ("a", "b"), ())


def test_keywords_are_values_and_unknown_ones_are_refused() -> None:
    assert Outer(limit=3).limit == 3
    with pytest.raises(TypeError, match="no setting limt"):
        Outer(limt=3)


def test_texts_become_values() -> None:
    outer = Outer.from_text({"longest": "1 M", "foreign": "x"}, children={"inner": [Inner(auto="create")]})
    assert outer.longest == 2**20
    assert [one.auto for one in outer.inner] == ["create"]
    with pytest.raises(BadValue):
        Outer.from_text({"limit": "x"})


def test_class_attributes_describe() -> None:
    assert Outer.longest.default == "64 k"
    assert Outer.longest.normal("1048576") == "1 M"
    assert Outer.declared["on"].kind == "bool"
    assert Inner.auto.choices == ("no", "create")


def test_repr_shows_no_values() -> None:
    assert repr(Outer(words=("secret",))) == "Outer(words)"


def test_instances_with_equal_values_are_equal() -> None:
    assert Outer(limit=1) == Outer(limit=1) != Outer(limit=2)
    assert Outer(limit=1).replace(limit=10) == Outer()
    assert Outer(limit=7).texts()["limit"] == "7"


def test_memory_view_of_texts_and_instances() -> None:
    view = MemoryView({"limit": "5"}, Inner(section_name="one"), Inner(section_name="two"))
    assert view.get(Outer).limit == 5
    assert [inner.section_name for inner in view.sections(Inner)] == ["one", "two"]
    assert view.sections(Outer) == []


def test_memory_view_overrides() -> None:
    view = MemoryView({}, Outer(limit=5), plugin={"a": "b"})
    changed = view.with_overrides({"limit": "6", "quota": "x", "plugin/a": "c"})
    assert changed.get(Outer).limit == 6
    assert changed.plugin["quota"] == "x"
    assert changed.plugin["a"] == "c"
    assert view.get(Outer).limit == 5
