"""What happens around a POP3 session: another mailbox in its place, too many sessions, flags left alone."""

import poplib
import shutil
import time
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance
from tests.support.fixtures import Servers
from tests.support.serverconf import PASSWORD

pytestmark = [pytest.mark.process, pytest.mark.compat]

Server = Cluster | DovecotInstance
BOTH = ("ours", "dovecot")
LIMIT = 2
CONF = f"protocol pop3 {{\n  mail_max_userip_connections = {LIMIT}\n}}\n"
OLD = {f"160000000{n}.M{n}P1.old": b"Subject: old %d\n\nx\n" % n for n in range(1, 4)}
NEW = {f"160000000{n}.M{n}P1.new": b"Subject: new %d\n\ny\n" % n for n in range(1, 4)}
GONE = "-ERR [SYS/TEMP] Mailbox is in inconsistent state, please relogin."


@pytest.fixture(params=BOTH)
def server(request: pytest.FixtureRequest, servers: Servers) -> Server:
    return servers.get(request.param, CONF)  # type: ignore[return-value]


def fill(server: Server, user: str, files: dict[str, bytes]) -> Path:
    maildir = server.place.maildir(user)
    for folder in ("cur", "new", "tmp"):
        (maildir / folder).mkdir(parents=True)
    for name, body in files.items():
        (maildir / "new" / name).write_bytes(body)
    server.place.give_to_mail_user(server.place.home(user))
    return maildir


def log_in(server: Server, user: str) -> poplib.POP3:
    client = poplib.POP3("127.0.0.1", server.pop3, timeout=60)
    try:
        client.user(user)
        client.pass_(PASSWORD)
        client.stat()  # Dovecot looks at the mailbox after "Logged in."
    except BaseException:
        client.close()
        raise
    return client


def ask(client: poplib.POP3, line: str) -> str:
    """One command with a one-line answer, good or bad."""
    assert client.sock is not None
    client.sock.sendall(line.encode() + b"\r\n")
    return str(client.file.readline().rstrip(b"\r\n").decode())


def names(maildir: Path) -> list[str]:
    """Messages that are there, without their flags."""
    found = [path.name for folder in ("new", "cur") for path in (maildir / folder).iterdir()]
    return sorted(name.partition(":")[0] for name in found)


def replace(server: Server, user: str, maildir: Path, files: dict[str, bytes]) -> None:
    """As `rm -r` and a restored backup: the UIDs are the same numbers, the UIDVALIDITY is not."""
    shutil.rmtree(maildir)
    fill(server, user, files)
    (maildir / "dovecot-uidlist").write_text("3 V1500000000 N1 G0123456789abcdef0123456789abcdef\n")
    server.place.give_to_mail_user(server.place.home(user))


def test_a_mailbox_made_anew_loses_nothing(server: Server) -> None:
    maildir = fill(server, "anew", OLD)
    client = log_in(server, "anew")
    replace(server, "anew", maildir, OLD)
    assert ask(client, "RETR 1") == "-ERR Message 1 expunged."
    assert ask(client, "DELE 2") == "+OK Marked to be deleted."
    assert ask(client, "QUIT") == GONE
    client.close()
    assert names(maildir) == sorted(OLD)


def test_other_mail_with_the_same_uids_is_not_deleted(server: Server) -> None:
    """Another session has seen the new mailbox already."""
    maildir = fill(server, "other", OLD)
    client = log_in(server, "other")
    replace(server, "other", maildir, NEW)
    log_in(server, "other").quit()
    assert ask(client, "RETR 1") == "-ERR Message 1 expunged."
    ask(client, "DELE 2")
    # Dovecot has a text for "internal error" here: its index says that it is broken.
    assert ask(client, "QUIT") == GONE or isinstance(server, DovecotInstance)
    client.close()
    assert names(maildir) == sorted(NEW)


@pytest.mark.parametrize("commands", [["QUIT"], ["RETR 3", "DELE 3", "QUIT"]], ids="-".join)
def test_a_mailbox_that_was_removed(server: Server, commands: list[str]) -> None:
    user = f"removed{len(commands)}"
    maildir = fill(server, user, OLD)
    client = log_in(server, user)
    shutil.rmtree(maildir)
    answers = [ask(client, command) for command in commands]
    client.close()
    assert answers[-1] == GONE
    assert answers[:-1] in ([], ["-ERR Message 3 expunged.", "+OK Marked to be deleted."])


def test_sessions_of_one_user_from_one_address_are_limited(server: Server) -> None:
    fill(server, "busy", OLD)
    clients = [log_in(server, "busy") for _ in range(LIMIT)]
    with pytest.raises(poplib.error_proto) as info:
        log_in(server, "busy")
    assert info.value.args[0] == (
        b"-ERR [IN-USE] Maximum number of connections from user+IP exceeded "
        b"(mail_max_userip_connections=%d)" % LIMIT
    )
    log_in(server, "somebody.else").quit()
    clients.pop().quit()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            clients.append(log_in(server, "busy"))
            break
        except poplib.error_proto:
            time.sleep(0.05)  # the session is just ending
    assert len(clients) == LIMIT
    for client in clients:
        client.quit()


@pytest.mark.parametrize("program", BOTH)
@pytest.mark.parametrize("setting", ["no", "yes"])
def test_no_flag_updates(servers: Servers, program: str, setting: str) -> None:
    server = servers.get(program, f"pop3_no_flag_updates = {setting}\n")
    assert isinstance(server, Cluster | DovecotInstance)
    maildir = fill(server, "flags", OLD)
    client = log_in(server, "flags")
    client.retr(1)
    client.quit()
    left = sorted(path.name for folder in ("new", "cur") for path in (maildir / folder).iterdir())
    first, *rest = sorted(OLD)
    changed = [f"{first}:2,S", *(f"{name}:2," for name in rest)]
    assert left == (sorted(OLD) if setting == "yes" else changed)
