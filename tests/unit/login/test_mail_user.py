"""Who a mail process becomes: what userdb and settings say, and what is refused."""

import os
import pwd

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.login import mail_user
from pydovecot.login.mail_user import MailUser
from pydovecot.login.settings import MailUserSettings
from pydovecot.model.errors import InternalError
from pydovecot.settings.memory import MemoryView

FACTS = {"rip": "192.0.2.1", "lip": "127.0.0.1", "session": "sess"}


def resolve(fields: dict[str, str], **settings: str) -> MailUser:
    texts = {"first_valid_uid": "500", "first_valid_gid": "1", **settings}
    return mail_user.resolve(MemoryView(texts), "alice@example.com", "imap", fields, FACTS)


USUAL = {"uid": "1000", "gid": "1000", "home": "/home/alice"}


def test_userdb_decides() -> None:
    user = resolve({**USUAL, "mail_log_prefix": "x: ", "quota_rule": "*:storage=1G"})
    assert (user.uid, user.gid, user.home, user.chroot, user.groups) == (1000, 1000, "/home/alice", "", ())
    assert user.settings.get(MailUserSettings).mail_log_prefix == "x: "
    assert user.settings.plugin["quota_rule"] == "*:storage=1G"
    assert not user.shared_identity
    for name, value in {
        "user": "alice@example.com",
        "username": "alice",
        "domain": "example.com",
        "home": "/home/alice",
        "uid": "1000",
        "rip": "192.0.2.1",
        "service": "imap",
        "session": "sess",
    }.items():
        assert user.variables[name] == value


def test_settings_fill_in() -> None:
    user = resolve({}, mail_uid="1000", mail_gid="1001", mail_home="/srv/%d/%n")
    assert (user.uid, user.gid, user.home) == (1000, 1001, "/srv/example.com/alice")
    assert user.shared_identity
    assert user.identity == resolve({"uid": "1000"}, mail_uid="1000", mail_gid="1001").identity


def test_shared_identity_only_without_own_ids() -> None:
    both = {"mail_uid": "1000", "mail_gid": "1000"}
    assert resolve({"uid": "1000", "gid": "1000"}, **both).shared_identity
    assert not resolve({"uid": "1001", "gid": "1000"}, **both).shared_identity
    assert not resolve({"system_groups_user": pwd.getpwuid(os.getuid()).pw_name}, **both).shared_identity


@pytest.mark.parametrize(
    ("fields", "settings", "text"),
    [
        ({"uid": "0", "gid": "0"}, {}, "userdb returned 0 as uid"),
        ({"gid": "1000"}, {"mail_uid": "root", "first_valid_uid": "0"}, "Mail access not allowed for root"),
        (
            {"uid": "499", "gid": "1000"},
            {},
            "Mail access for users with UID 499 not permitted (see first_valid_uid",
        ),
        (
            {"uid": "900", "gid": "1000"},
            {"last_valid_uid": "899"},
            "Mail access for users with UID 900 not permitted",
        ),
        (
            {"uid": "1000", "gid": "0"},
            {},
            "Mail access for users with GID 0 not permitted (see first_valid_gid",
        ),
        (
            {"uid": "1000", "gid": "7"},
            {"last_valid_gid": "6"},
            "Mail access for users with GID 7 not permitted",
        ),
        ({"uid": "nobody-here", "gid": "1"}, {}, "Unknown mail_uid user: nobody-here"),
        ({"uid": "1000", "gid": "no-such"}, {}, "Unknown mail_gid group: no-such"),
        (
            {**USUAL, "chroot": "/srv"},
            {},
            "userdb returned invalid chroot directory: /srv (see valid_chroot_dirs",
        ),
        (
            {**USUAL, "chroot": "/etc"},
            {"valid_chroot_dirs": "/srv:/home"},
            "userdb returned invalid chroot directory",
        ),
        ({**USUAL, "home": "alice"}, {}, "Relative home directory paths not supported: alice"),
        (USUAL, {"mail_access_groups": "no-such"}, "Group doesn't exist: no-such"),
    ],
)
def test_refused(fields: dict[str, str], settings: dict[str, str], text: str) -> None:
    with pytest.raises(InternalError) as caught:
        resolve(fields, **settings)
    assert text in str(caught.value)


def test_chroot_as_wu_ftpd_writes_it() -> None:
    user = resolve({**USUAL, "home": "/srv/alice/./mail"}, valid_chroot_dirs="/srv")
    assert (user.chroot, user.home) == ("/srv/alice", "/mail")
    assert resolve({**USUAL, "home": "/srv/alice/./mail"}).home == "/srv/alice/./mail"


def test_groups_of_root_do_not_come_along() -> None:
    user = resolve({**USUAL, "system_groups_user": "root"}, first_valid_gid="1")
    assert 0 not in user.groups


def test_home_that_is_not_there_is_no_failure(tmp_path: object) -> None:
    sink = ListSink()
    before = os.getcwd()
    mail_user.enter_home(resolve({**USUAL, "home": "/nonexistent/x"}), Event(sink))
    assert os.getcwd() == before
    assert sink.lines == []
    mail_user.enter_home(resolve({**USUAL, "home": "/etc/passwd"}), Event(sink))
    assert sink.texts == ["chdir(/etc/passwd) failed: Not a directory"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: needs root")
def test_there_is_no_way_back() -> None:
    user = resolve({"uid": "45101", "gid": "45102"}, mail_access_groups="45103,45104")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            mail_user.become(user, Event(ListSink()))
            ids = (os.getresuid(), os.getresgid(), sorted(os.getgroups()))
            try:
                os.setuid(0)
                back = True
            except OSError:
                back = False
            os.write(writer, repr((ids, back)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(pid, 0)
    uid, gid = 45101, 45102
    assert said == repr((((uid,) * 3, (gid,) * 3, [45102, 45103, 45104]), False))


@pytest.mark.parametrize(
    ("chroot", "good"),
    [
        ("/srv/mail", True),
        ("/srv/mail/alice", True),
        ("/srv/mail2", False),
        ("/srv/mail/../../etc", False),
        ("/srv", False),
        ("/", False),
    ],
)
def test_a_chroot_is_inside_what_is_allowed(chroot: str, good: bool) -> None:
    def made() -> str:
        return resolve({**USUAL, "chroot": chroot, "home": "/"}, valid_chroot_dirs="/var/x:/srv/mail/").chroot

    if good:
        assert made() == chroot
        return
    with pytest.raises(InternalError, match="userdb returned invalid chroot directory"):
        made()


def test_a_userdb_allows_itself_no_chroot() -> None:
    with pytest.raises(InternalError, match="valid_chroot_dirs"):
        resolve({**USUAL, "chroot": "/srv", "valid_chroot_dirs": "/srv"})
