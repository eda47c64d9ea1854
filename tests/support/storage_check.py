"""The consistency checker that runs at the end of every storage test: the index equals the Maildir."""

import os
import re
from pathlib import Path

from pydovecot.base.rawname import shown
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, Store
from pydovecot.storage.drivers.maildir import filename, uidlist
from pydovecot.storage.drivers.maildir.backend import MaildirBackend
from pydovecot.storage.drivers.maildir.folder import MaildirFolder
from pydovecot.storage.drivers.maildir.place import NEW
from pydovecot.storage.store import UserStore


def check_store(store: Store, *, locks: bool = True) -> None:
    """Every mailbox: STATUS agrees with a fresh view; maildir: files and uidlist too. `locks`: none left."""
    for entry in list(store.list(["*"])):
        if not entry.selectable:
            continue
        status = store.status(entry.name)
        view = store.open(entry.name, readonly=True)
        try:
            uids = list(view.uids)
            assert uids == sorted(set(uids)), f"{entry.name}: UIDs not ascending"
            assert not uids or uids[-1] < view.uidnext, f"{entry.name}: UIDNEXT {view.uidnext}"
            rows = list(
                view.rows(SeqSet(((1, max(1, len(uids))),)), (Column.UID, Column.SYSTEM_FLAGS, Column.MODSEQ))
            )
            assert [row[0] for row in rows] == uids
            unseen = sum(not row[1] & 8 for row in rows)
            assert (status.messages, status.unseen) == (len(uids), unseen), entry.name
            assert all(0 < row[2] <= view.highest_modseq for row in rows), f"{entry.name}: modseq"
        finally:
            view.close()
        if isinstance(store, UserStore):
            backend, parts = store.resolve(entry.name)
            if isinstance(backend, MaildirBackend):
                check_folder(backend.folder(parts), locks=locks)


def check_folder(folder: MaildirFolder, *, locks: bool = True) -> None:
    """Files, index and uidlist of one Maildir."""
    path = Path(folder.path)
    on_disk = {shown(name) for name in os.listdir(path / "cur")}
    on_disk |= {NEW + shown(name) for name in os.listdir(path / "new")}
    rows = folder.host.database.rows(
        "SELECT id & 4294967295, state, name FROM msg WHERE id BETWEEN ? AND ?", folder.index.span
    )
    names = {name for _, _, name in rows}
    assert names == on_disk, f"{path}: index {sorted(names - on_disk)}, disk {sorted(on_disk - names)}"
    for _, state, name in rows:
        assert state & filename.FILE_BITS == filename.state_of(name), f"{path}: state of {name}"
    header = folder.index.header()
    assert header.messages == len(rows)
    assert header.unseen == sum(not state & 8 for _, state, _ in rows)
    assert header.deleted == sum(bool(state & 4) for _, state, _ in rows)
    in_new = folder.disk().in_new
    assert in_new == sum(name.startswith(NEW) for name in names), f"{path}: in_new {in_new}"
    listed = uidlist.read(folder.uidlist_path)
    assert listed.valid and listed.uidvalidity == header.uidvalidity and listed.guid == header.guid
    assert not listed.broken, f"{path}: uidlist broken"
    assert listed.uidnext <= header.uidnext
    by_base = {entry.base: entry.uid for entry in listed.entries}
    for uid, _, name in rows:
        assert by_base.get(filename.base_of(name.removeprefix(NEW))) == uid, f"{path}: UID {uid} of {name}"
    if locks:
        assert not os.path.lexists(folder.uidlist_path + ".lock")
    lines = Path(folder.uidlist_path).read_bytes().split(b"\n")
    assert re.fullmatch(rb"3 V\d+ N\d+ G[0-9a-f]{32}", lines[0]), lines[0]
