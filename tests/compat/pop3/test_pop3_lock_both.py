"""pop3_lock_session beside a running Dovecot on the same mail: each server respects the other's lock."""

import os
import poplib
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pydovecot.services.pop3.lock import STALE_SECS
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance
from tests.support.fixtures import Servers
from tests.support.serverconf import PASSWORD, ServerDir

pytestmark = [pytest.mark.process, pytest.mark.compat]

Pair = dict[str, Cluster | DovecotInstance]
BOTH = ("ours", "dovecot")
LOCKED = "-ERR [IN-USE] Mailbox is locked by another POP3 session."


@pytest.fixture
def shared() -> Iterator[ServerDir]:
    """A directory for the mail of both servers."""
    place = ServerDir.make()
    yield place
    place.close()


@pytest.fixture
def pair(shared: ServerDir, servers: Servers) -> Pair:
    conf = f"mail_location = maildir:{shared.root}/mail/%u/Maildir\npop3_lock_session = yes\n"
    return {program: servers.get(program, conf) for program in BOTH}  # type: ignore[misc]


def log_in(server: Cluster | DovecotInstance, user: str) -> poplib.POP3:
    client = poplib.POP3("127.0.0.1", server.pop3, timeout=60)
    try:
        client.user(user)
        client.pass_(PASSWORD)
    except BaseException:
        client.close()
        raise
    return client


def attempt(server: Cluster | DovecotInstance, user: str) -> str:
    """What a login is answered."""
    try:
        log_in(server, user).quit()
    except poplib.error_proto as exc:
        return exc.args[0].decode() if isinstance(exc.args[0], bytes) else str(exc.args[0])
    return "+OK"


def lock_file(shared: ServerDir, user: str) -> Path:
    return shared.maildir(user) / "dovecot-pop3-session.lock"


def wait_unlocked(shared: ServerDir, user: str) -> None:
    end = time.monotonic() + 60
    while lock_file(shared, user).exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def left_behind(shared: ServerDir, user: str, owner: str, age: int) -> None:
    """A lock file that nobody removed."""
    shared.maildir(user).mkdir(parents=True)
    path = lock_file(shared, user)
    path.write_text(owner)
    then = time.time() - age
    os.utime(path, (then, then))
    shared.give_to_mail_user(shared.home(user))


def dead_pid() -> int:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return process.pid


def test_sessions_exclude_each_other(pair: Pair, shared: ServerDir) -> None:
    """All at once: who is refused has waited for ten seconds."""
    held = {
        f"{holder}-{other}": (log_in(pair[holder], f"{holder}-{other}"), pair[other])
        for holder in BOTH
        for other in BOTH
    }
    for program in BOTH:
        left_behind(shared, f"elsewhere-{program}", "1:another.example.org", 1)
    with ThreadPoolExecutor(8) as pool:
        answers = {user: pool.submit(attempt, other, user) for user, (_, other) in held.items()}
        for program in BOTH:
            user = f"elsewhere-{program}"
            answers[user] = pool.submit(attempt, pair[program], user)
        assert {user: answer.result() for user, answer in answers.items()} == dict.fromkeys(answers, LOCKED)
    for user, (client, other) in held.items():
        client.quit()
        assert attempt(other, user) == "+OK"
        wait_unlocked(shared, user)


@pytest.mark.parametrize("program", BOTH)
def test_a_dead_session_holds_nothing(pair: Pair, shared: ServerDir, program: str) -> None:
    left_behind(shared, f"dead-{program}", f"{dead_pid()}:{os.uname().nodename}", 10)
    assert attempt(pair[program], f"dead-{program}") == "+OK"


def test_a_lock_of_another_host_is_taken_when_nobody_touches_it(pair: Pair, shared: ServerDir) -> None:
    """Dovecot only does so when it has watched it for five minutes, and gives up after ten seconds."""
    left_behind(shared, "old", "1:another.example.org", STALE_SECS + 5)
    assert attempt(pair["ours"], "old") == "+OK"


@pytest.mark.parametrize("program", BOTH)
def test_the_lock_names_its_session_and_goes_with_it(pair: Pair, shared: ServerDir, program: str) -> None:
    user = f"named-{program}"
    client = log_in(pair[program], user)
    pid, _, host = lock_file(shared, user).read_text().partition(":")
    assert host == os.uname().nodename
    assert Path(f"/proc/{pid}").exists()
    client.close()  # without QUIT
    wait_unlocked(shared, user)
