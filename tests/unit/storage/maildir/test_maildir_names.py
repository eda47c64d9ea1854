"""File names, keywords and UIDVALIDITY files."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.model.flags import Flag
from pydovecot.storage.drivers.maildir import filename, keywords, uidvalidity

KNOWN = "DFRSTabcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("1.a", 0),
        ("1.a:2,", 0),
        ("1.a:2,FS", Flag.FLAGGED | Flag.SEEN),
        ("1.a:2,DRTab", Flag.DRAFT | Flag.ANSWERED | Flag.DELETED | 0x300),
        ("1.a:1,FS", 0),
        ("1.a:2,S,x=F", Flag.SEEN),
    ],
)
def test_flags_of_names(name: str, state: int) -> None:
    assert filename.state_of(name) == state


def test_other_flags_keep_what_is_not_ours() -> None:
    assert filename.with_state("1.a", int(Flag.SEEN)) == "1.a:2,S"
    assert filename.with_state("1.a:2,PS", Flag.SEEN | Flag.FLAGGED) == "1.a:2,FPS"
    assert filename.with_state("1.a:2,S,extra", 0) == "1.a:2,,extra"
    assert filename.with_state("1.a:2,S", 1 << 40) == "1.a:2,"


@given(st.text(KNOWN, max_size=8), st.text(KNOWN, max_size=8))
def test_any_flags_to_any_flags(before: str, after: str) -> None:
    state = filename.state_of("x:2," + after)
    made = filename.with_state("x:2," + before, state)
    assert filename.state_of(made) == state
    letters = made.partition(":2,")[2]
    assert letters == "".join(sorted(set(after)))


@given(
    st.lists(
        st.text(
            st.characters(blacklist_characters="\n/\0", blacklist_categories=["Cs"]), min_size=1, max_size=30
        ),
        unique=True,
    )
)
def test_many_names_at_once_are_as_one_by_one(names: list[str]) -> None:
    parsed = filename.parse_all(names)
    assert [one[0] for one in parsed] == names
    assert [one[1] for one in parsed] == [filename.base_of(name.removeprefix("new/")) for name in names]
    assert [filename.sizes_parsed(one) for one in parsed] == [filename.sizes_of(name) for name in names]
    assert sorted(filename.by_arrival(parsed)) == sorted(parsed)


def test_sizes() -> None:
    assert filename.sizes_of("1.a,S=12,W=14:2,") == (12, 14)
    assert filename.sizes_of("1.a,W=14,S=12") == (12, 14)
    assert filename.sizes_of("1.a,S=x,W=") == (None, None)


def test_generated_names_never_repeat() -> None:
    made = filename.Generator("a/b:c", now=lambda: 1700000000.999999)
    names = [made.next() for _ in range(5)]
    assert len(set(names)) == 5
    assert names[0].startswith("1700000000.M") and names[-1].startswith("1700000001.M")
    assert names[0].endswith(f"P{os.getpid()}.a\\057b\\072c")


def test_keywords_file(tmp_path: Path) -> None:
    path = str(tmp_path / "dovecot-keywords")
    assert keywords.read(path) is None
    before = keywords.stamp(path)
    keywords.write(path, ["Junk", "", "$Forwarded"], mode=0o600, gid=-1, fsync=False)
    assert Path(path).read_text() == "0 Junk\n2 $Forwarded\n"
    assert keywords.read(path) == ["Junk", "", "$Forwarded"]
    first = os.stat(path).st_mtime
    keywords.write(path, ["Junk", "x"], mode=0o600, gid=-1, fsync=False)
    assert int(os.stat(path).st_mtime) > int(first)  # Dovecot looks at whole seconds
    assert keywords.stamp(path) != before


def test_uidvalidity_never_repeats(tmp_path: Path) -> None:
    values = [uidvalidity.take_next(str(tmp_path)) for _ in range(4)]
    assert values == sorted(set(values))
    files = sorted(entry.name for entry in tmp_path.iterdir())
    assert files == ["dovecot-uidvalidity", f"dovecot-uidvalidity.{values[-1]:08x}"]
    assert (tmp_path / "dovecot-uidvalidity").read_text() == f"{values[-1]:08x}"
    (tmp_path / "dovecot-uidvalidity").unlink()
    assert uidvalidity.take_next(str(tmp_path)) == values[-1] + 1
    (tmp_path / "dovecot-uidvalidity").write_text("f0000000")
    assert uidvalidity.take_next(str(tmp_path)) == 0xF0000001


def test_uidvalidity_of_two_processes(tmp_path: Path) -> None:
    pids = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            values = [uidvalidity.take_next(str(tmp_path)) for _ in range(30)]
            (tmp_path / f"out{number}").write_text(" ".join(map(str, values)))
            os._exit(0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 3
    taken = [value for number in range(3) for value in (tmp_path / f"out{number}").read_text().split()]
    assert len(set(taken)) == 90
