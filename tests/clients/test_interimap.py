"""interimap: two accounts of the server kept the same by QRESYNC, whichever side changed."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.cert import shared_certificate
from tests.support.clients import PASSWORD, Account, Site, digest, digests, need, run_client
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.mailgen import generate

pytestmark = [pytest.mark.process, pytest.mark.clients]


class Interimap:
    """Two accounts and the database of what is where."""

    def __init__(self, near: Account, far: Account, cwd: Path, *, tls: bool) -> None:
        self.near, self.far, self.cwd = near, far, cwd
        sections = "".join(
            f"[{name}]\nhost = localhost\nusername = {account.name}\npassword = {PASSWORD}\n{security}"
            for name, account, security in (("local", near, plain(near)), ("remote", far, chosen(far, tls)))
        )
        config = cwd / "config"
        config.touch(mode=0o600)
        config.write_text(f"database = {cwd}/sync.db\n{sections}")

    def run(self, *args: str) -> None:
        run_client(need("interimap"), f"--config={self.cwd}/config", *args, cwd=self.cwd)

    def same(self, folder: str) -> Counter[tuple[str, frozenset[bytes]]]:
        """What both sides have, which must be the same: content and flags, but for \\Recent."""
        near, far = contents(self.near, folder), contents(self.far, folder)
        assert near == far, folder
        return near


def plain(account: Account) -> str:
    return f"type = imap\nport = {account.site.imap}\nSTARTTLS = NO\n"


def chosen(account: Account, tls: bool) -> str:
    if not tls:
        return plain(account)
    return f"type = imaps\nport = {account.site.imaps}\nSSL_CAfile = {shared_certificate().cert}\n"


def contents(account: Account, folder: str) -> Counter[tuple[str, frozenset[bytes]]]:
    seen: Counter[tuple[str, frozenset[bytes]]] = Counter()
    for head, body in account.on_server(folder):
        flags = head.partition(b"FLAGS (")[2].partition(b")")[0].split()
        seen[digest(body), frozenset(flags) - {b"\\Recent"}] += 1
    return seen


def only(found: Counter[tuple[str, frozenset[bytes]]]) -> Counter[str]:
    """The content without the flags."""
    bodies: Counter[str] = Counter()
    for (body, _), count in found.items():
        bodies[body] += count
    return bodies


def change(account: Account, folder: str, *commands: tuple[str, str, str]) -> None:
    """STORE by sequence number; what is \\Deleted then is expunged."""
    with account.imap() as client:
        assert client.select(folder)[0] == "OK"
        for command in commands:
            assert client.store(*command)[0] == "OK"
        assert client.expunge()[0] == "OK"


@pytest.fixture
def sync(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Interimap:
    return Interimap(site.account(), site.account(empty=True), tmp_path, tls=request.param == "tls")


@pytest.mark.parametrize("sync", ["plain", "tls"], indirect=True)
def test_both_ways(sync: Interimap) -> None:
    keep_the_same(sync)


@pytest.mark.compat
@pytest.mark.parametrize("site", ["ordinary-user"], indirect=True)
@pytest.mark.parametrize("full", ["ours", "dovecot"])
def test_between_dovecot_and_us(site: Site, tmp_path: Path, full: str) -> None:
    """A move from one server to the other, with mail coming in on both meanwhile."""
    if reason := dovecot_missing():
        pytest.skip(reason)
    other = Site(DovecotInstance().start(), real_users=False)
    try:
        near, far = (site, other) if full == "ours" else (other, site)
        keep_the_same(Interimap(near.account(), far.account(empty=True), tmp_path, tls=False))
    finally:
        other.close()


def keep_the_same(sync: Interimap) -> None:
    """Three runs, and changes on both sides between them."""
    near, far = sync.near, sync.far
    sync.run()
    assert only(sync.same("INBOX")) == digests(near.inbox)
    assert only(sync.same("Work")) == digests(near.work)

    # Flags, keywords, deletions and mail on both sides between two runs.
    mine, theirs, first, second = generate(71, 4)
    change(near, "INBOX", ("1:3", "+FLAGS", r"(\Flagged $Mine)"), ("5", "+FLAGS", r"(\Deleted)"))
    change(far, "INBOX", ("7", "+FLAGS", r"(\Seen \Answered)"), ("9:10", "+FLAGS", r"(\Deleted)"))
    change(far, "Work", ("1:*", "+FLAGS", r"(\Deleted)"))
    near.deliver(mine)
    far.deliver(theirs)
    far.deliver(first, ".Work")
    near.deliver(second, ".Work.Deep")
    sync.run()
    kept = [body for number, body in enumerate(near.inbox, 1) if number not in (5, 9, 10)]
    inbox = sync.same("INBOX")
    assert only(inbox) == digests([*kept, mine, theirs])
    assert only(sync.same("Work")) == digests([first])
    assert only(sync.same("Work.Deep")) == digests([second])
    for body in near.inbox[:3]:
        assert inbox[digest(body), frozenset({b"\\Flagged", b"$Mine"})]
    assert inbox[digest(near.inbox[6]), frozenset({b"\\Seen", b"\\Answered"})]

    # And back.
    change(far, "INBOX", ("1", "FLAGS", r"(\Seen)"), ("2", "-FLAGS", "($Mine)"))
    sync.run()
    inbox = sync.same("INBOX")
    assert inbox[digest(near.inbox[0]), frozenset({b"\\Seen"})]
    assert inbox[digest(near.inbox[1]), frozenset({b"\\Flagged"})]
    assert only(inbox) == digests([*kept, mine, theirs])


@pytest.mark.parametrize("sync", ["plain"], indirect=True)
def test_folders(sync: Interimap) -> None:
    near, far = sync.near, sync.far
    sync.run()
    with far.imap() as client:
        assert client.create('"Made there"')[0] == "OK"
        assert client.create("Bücher".encode("utf-7").replace(b"+", b"&").decode())[0] == "OK"
    with near.imap() as client:
        assert client.create("Below.it.all")[0] == "OK"
        assert client.subscribe("Below.it.all")[0] == "OK"
    sync.run()
    assert folders(near) == folders(far) >= {b'"Made there"', b"B&APw-cher", b"Below.it.all", b"Work"}
    assert subscribed(near) == subscribed(far) >= {b"Below.it.all"}

    sync.run("--rename", "Work", "Other")
    sync.run("--rename", "Below.it", "Above")
    sync.run("--delete", "Made there")
    sync.run()
    assert folders(near) == folders(far) >= {b"Other", b"Above.all", b"B&APw-cher"}
    assert not folders(near) & {b"Work", b'"Made there"', b"Below.it", b"Below.it.all"}
    assert only(sync.same("Other")) == digests(near.work)

    (late,) = generate(73, 1)
    far.deliver(late, ".Other")
    sync.run()
    assert only(sync.same("Other")) == digests([*near.work, late])


@pytest.mark.parametrize("sync", ["plain"], indirect=True)
def test_repair_finds_nothing(sync: Interimap) -> None:
    """A full comparison after changes: the database is what the servers say, and nothing is copied twice."""
    sync.run()
    change(sync.near, "INBOX", ("2:4", "+FLAGS", r"(\Deleted)"), ("1", "+FLAGS", r"(\Draft)"))
    sync.run()
    before = sync.same("INBOX")
    sync.run("--repair")
    assert sync.same("INBOX") == before
    assert sum(before.values()) == len(sync.near.inbox) - 3


def folders(account: Account) -> set[bytes]:
    return listed(account, "LIST")


def subscribed(account: Account) -> set[bytes]:
    return listed(account, "LSUB")


def listed(account: Account, command: str) -> set[bytes]:
    with account.imap() as client:
        _, lines = client.lsub() if command == "LSUB" else client.list()
    return {line.partition(b'"." ')[2] for line in lines if isinstance(line, bytes)}
