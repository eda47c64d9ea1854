"""IDLE: one change is one look, whoever makes it and however many files and transactions it takes."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pydovecot.storage.indexed import watch as watch_module
from tests.support.threads import Client, Sessions

QUIET_SECS = 0.3  # much longer than a session gathers changes
# On a busy machine whoever makes a change may be stopped in its middle: two looks, and nobody's fault.
TRIES = 5


@contextmanager
def some_sessions(home: Path) -> Iterator[Sessions]:
    """A user with three messages in INBOX, and the mailbox Box."""
    with Sessions(home) as found:
        client = found.open()
        for _ in range(3):
            client.ask(b"a APPEND INBOX (\\Seen) {5+}\r\nhello\r\n", b"a OK")
        client.ask(b"c CREATE Box\r\n", b"c OK")
        client.ask(b"s SELECT INBOX\r\n", b"\r\ns OK")  # \Recent is given to it
        yield found


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    with some_sessions(tmp_path) as found:
        yield found


def deliver(home: Path, name: str, folder: str = "Maildir") -> None:
    """As a delivery agent does it."""
    temp = home / folder / "tmp" / name
    temp.write_bytes(b"Subject: x\n\nhello\n")
    temp.rename(home / folder / "new" / name)


def flag(home: Path) -> None:
    """Another program sets \\Flagged on some message."""
    name = sorted(path for path in os.listdir(home / "Maildir/cur") if path.endswith(":2,S"))[0]
    path = home / "Maildir/cur" / name
    path.rename(str(path).removesuffix("S") + "FS")


def remove(home: Path) -> None:
    """Another program removes some message."""
    (home / "Maildir/cur" / sorted(os.listdir(home / "Maildir/cur"))[0]).unlink()


def ours(text: bytes) -> Callable[[Sessions], None]:
    def act(sessions: Sessions) -> None:
        client = sessions.open()
        client.ask(b"s SELECT INBOX\r\n", b"\r\ns OK")
        for line in text.split(b"|"):
            client.ask(line + b"\r\n", b"x OK")
            time.sleep(QUIET_SECS)

    return act


CHANGES: dict[str, tuple[Callable[[Sessions], None], bytes]] = {
    "append": (ours(b"x APPEND INBOX {5+}\r\nhello"), b"* 4 EXISTS"),
    "append with flags": (ours(b"x APPEND INBOX (\\Seen) {5+}\r\nhello"), b"* 4 EXISTS"),
    "three at once": (ours(b"x APPEND INBOX {1+}\r\na {1+}\r\nb {1+}\r\nc"), b"* 6 EXISTS"),
    "copy": (ours(b"x COPY 1:3 INBOX"), b"* 6 EXISTS"),
    "store": (ours(b"x STORE 1 +FLAGS \\Flagged"), b"* 1 FETCH (FLAGS (\\Flagged \\Seen))"),
    "keyword": (ours(b"x STORE 1 +FLAGS (Blue)"), b"* 1 FETCH (FLAGS (\\Seen Blue))"),
    "expunge": (ours(b"x STORE 2 +FLAGS.SILENT \\Deleted|x EXPUNGE"), b"* 2 EXPUNGE"),
    "move": (ours(b"x MOVE 2 Box"), b"* 2 EXPUNGE"),
    "delivery": (lambda sessions: deliver(sessions.home, "1.x.host"), b"* 4 EXISTS"),
    "foreign flag": (lambda sessions: flag(sessions.home), b"FETCH (FLAGS (\\Flagged \\Seen))"),
    "foreign removal": (lambda sessions: remove(sessions.home), b" EXPUNGE"),
}


def looks_at(sessions: Sessions, name: str) -> list[int]:
    """How often each of four idle sessions looks for a change; the first three must tell of it."""
    act, told = CHANGES[name]
    idlers = [sessions.idle(), sessions.idle(), sessions.idle(verb=b"EXAMINE"), sessions.idle(b"Box")]
    before = [sessions.looks(idler) for idler in idlers]
    act(sessions)
    for idler in idlers[:3]:
        idler.read_until(told)
    time.sleep(QUIET_SECS)
    return [sessions.looks(idler) - start for idler, start in zip(idlers, before, strict=True)]


@pytest.mark.parametrize("name", CHANGES)
def test_one_change_is_one_look(tmp_path: Path, name: str) -> None:
    here = 2 if name == "expunge" else 1  # \\Deleted is a change of its own
    wanted = [here, here, here, int(name == "move")]
    seen = []
    for number in range(TRIES):
        (tmp_path / str(number)).mkdir()
        with some_sessions(tmp_path / str(number)) as sessions:
            seen.append(looks_at(sessions, name))
        if seen[-1] == wanted:
            return
    pytest.fail(f"looks in {TRIES} tries: {seen}, at best they would be {wanted}")


def test_a_burst_is_a_few_looks(sessions: Sessions) -> None:
    idler = sessions.idle()
    before = sessions.looks(idler)
    for number in range(200):
        deliver(sessions.home, f"{number}.burst.host")
    idler.read_until(b"* 203 EXISTS")
    assert sessions.looks(idler) - before < 100


def test_changes_in_one_tick_of_the_clock_are_all_seen(sessions: Sessions) -> None:
    """A directory's time does not change twice within a tick: the events must be believed."""
    idler = sessions.idle()
    seen = 3
    for number in range(40):
        deliver(sessions.home, f"{number}.tick.host")
        time.sleep(number % 8 * 0.004)
        seen += 1
    idler.read_until(b"* %d EXISTS" % seen)


def test_an_idle_session_is_quiet_in_the_next_idle(sessions: Sessions) -> None:
    """Events that came between two IDLEs are no reason to look once more."""
    client = sessions.idle()
    client.ask(b"DONE\r\n", b"i OK")
    client.ask(b"x APPEND INBOX {5+}\r\nhello\r\n", b"x OK")
    before = sessions.looks(client)
    client.ask(b"j IDLE\r\n", b"+ idling\r\n")
    client.quiet(QUIET_SECS)
    assert sessions.looks(client) - before == 1


@pytest.mark.parametrize(
    ("number", "sysctl"), [("EMFILE", "max_user_instances"), ("ENOSPC", "max_user_watches")]
)
def test_missing_inotify_is_polled_and_its_sysctl_named(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, number: str, sysctl: str
) -> None:
    import errno

    class NoInotify(watch_module.INotify):  # type: ignore[misc]
        def __init__(self, **options: object) -> None:
            if number == "EMFILE":
                raise OSError(errno.EMFILE, "Too many open files")
            super().__init__(**options)

        def add_watch(self, path: str, mask: int) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(watch_module, "INotify", NoInotify)
    sessions._settings["mailbox_idle_check_interval"] = "1s"
    client: Client = sessions.idle()
    (warning,) = [text for _, text, *_ in client.sink.lines]
    assert f"/proc/sys/fs/inotify/{sysctl}" in warning and "every 1 secs" in warning
    deliver(sessions.home, "1.poll.host")
    assert b"* 4 EXISTS" in client.read_until(b"EXISTS")


@pytest.mark.parametrize("layout", ["", ":LAYOUT=fs"])
@pytest.mark.parametrize("how", [b"x DELETE Up/Low", b"x RENAME Up/Low Other", b"x RENAME Up Above"])
def test_mailbox_that_goes_ends_the_session(tmp_path: Path, layout: str, how: bytes) -> None:
    if not layout:
        how = how.replace(b"/", b".")
    with Sessions(tmp_path, mail_location=f"maildir:{tmp_path}/Maildir{layout}") as sessions:
        client = sessions.open()
        name = b"Up/Low" if layout else b"Up.Low"
        client.ask(b"c CREATE %b\r\n" % name, b"c OK")
        idler, other = sessions.idle(name), sessions.idle()
        before = sessions.looks(other)
        client.ask(how + b"\r\n", b"x OK")
        assert idler.read_until(b"\r\n").startswith(b"* BYE IMAP session state is inconsistent")
        assert sessions.looks(other) == before


def test_still_here(tmp_path: Path) -> None:
    with Sessions(tmp_path, imap_idle_notify_interval="1s") as sessions:
        client = sessions.open()
        client.ask(b"s SELECT INBOX\r\n", b"\r\ns OK")
        client.ask(b"i IDLE\r\n", b"+ idling\r\n")
        assert client.read_until(b"here\r\n") == b"* OK Still here\r\n"
