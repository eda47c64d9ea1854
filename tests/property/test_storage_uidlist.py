"""dovecot-uidlist: any bytes are read without an exception, and what is written is read back."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydovecot.storage.drivers.maildir import uidlist

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

bases = st.text(
    st.characters(blacklist_characters=":\n/\0", blacklist_categories=["Cs"]), min_size=1, max_size=40
)
extras = st.sampled_from(["", "W12 ", "Gabc ", "Pxyz W5 ", "O7 "])


@st.composite
def lists(draw: st.DrawFn) -> uidlist.Uidlist:
    names = draw(st.lists(bases, unique=True, max_size=30))
    uids = sorted(draw(st.sets(st.integers(1, 2**32 - 2), min_size=len(names), max_size=len(names))))
    made = uidlist.Uidlist(draw(st.integers(1, 2**32 - 1)), 1, "0" * 32)
    made.entries = [uidlist.Entry(uid, base, draw(extras)) for uid, base in zip(uids, names, strict=True)]
    made.uidnext = (uids[-1] if uids else 0) + 1
    return made


@QUICK
@given(lists())
def test_round_trip(tmp_path: Path, made: uidlist.Uidlist) -> None:
    path = str(tmp_path / "list")
    uidlist.write(path, made)
    found = uidlist.read(path)
    assert (found.uidvalidity, found.uidnext, found.guid) == (made.uidvalidity, made.uidnext, made.guid)
    assert found.entries == made.entries
    assert found.complete and not found.broken


@QUICK
@given(lists(), st.data())
def test_appended_lines_are_read_from_where_they_begin(
    tmp_path: Path, made: uidlist.Uidlist, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(made.entries)))
    first, second = made.entries[:cut], made.entries[cut:]
    path = str(tmp_path / "list")
    made.entries = first
    uidlist.write(path, made)
    size = (tmp_path / "list").stat().st_size
    uidlist.append(path, uidlist.format_lines(second))
    assert uidlist.read(path, size).entries == second
    assert uidlist.read(path).entries == first + second


@QUICK
@given(lists(), st.integers(0, 400))
def test_torn_write_loses_only_the_last_line(tmp_path: Path, made: uidlist.Uidlist, cut: int) -> None:
    path = tmp_path / "list"
    uidlist.write(str(path), made)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    found = uidlist.read(str(path))
    count = len(found.entries)
    assert found.entries == made.entries[:count]
    if cut < len(whole) and found.valid:
        assert count >= whole[:cut].count(b"\n") - 1


noise = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from(
            [b"3 V1 N5 Gab", b"1 7 9", b"3 V0 N0", b"4 :x", b"4 :x:2,S", b"2 W1 :y", b"9999999999 :z", b"x",
             b"", b"5 a/b",
             b"-1 :q", b"3 V1 N99999999999999999999"]
        ),
        max_size=12,
    ).map(b"\n".join),
)  # fmt: skip


@QUICK
@given(noise, st.booleans())
def test_any_bytes_are_survived(data: bytes, header: bool) -> None:
    found = uidlist.parse(data, header=header)
    uids = [entry.uid for entry in found.entries]
    assert uids == sorted(uids)
    assert all(
        0 < uid < uidlist.MAX_UID and "/" not in entry.base
        for uid, entry in zip(uids, found.entries, strict=True)
    )
    assert len({entry.base for entry in found.entries}) == len(uids)
    assert not uids or found.uidnext > uids[-1]
