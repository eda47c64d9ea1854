"""Whose turn it is: one user after the other, failures that do not stop the rest, and signals that do."""

import os
import signal
from pathlib import Path

import pytest

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context, Log
from pydovecot.admin.errors import TEMPFAIL, USAGE, AdminError
from pydovecot.admin.formatters import make
from pydovecot.admin.mail import progress, users
from pydovecot.admin.mail.users import Mail
from pydovecot.model.errors import InternalError
from pydovecot.settings.memory import MemoryView
from pydovecot.settings.view import SettingsView

NOBODY = {"mail_uid": "65534", "mail_gid": "65534", "first_valid_uid": "1"} if os.geteuid() == 0 else {}


class Job:
    """Notes whose turn it was; `after` is done with each."""

    output = "flow"

    def __init__(self, after: object = None) -> None:
        self.after, self.seen = after, list[str]()

    def start(self, context: Context, arguments: Arguments) -> None:
        context.printer().header("who")

    def run(self, mail: Mail) -> None:
        self.seen.append(mail.name)
        mail.context.printer().value(mail.name)
        if callable(self.after):
            self.after(mail)


class Lab:
    """A run without a server: users come from a file, and userdb is not asked."""

    def __init__(self, tmp_path: Path, location: str = "memory:") -> None:
        self.out, self.err = bytearray(), list[str]()
        view = MemoryView({"mail_location": location, "mail_home": str(tmp_path), **NOBODY})
        self.file = tmp_path / "users"

        def settings(_service: str) -> SettingsView:
            return view

        self.context = Context(
            load_settings=settings,
            log=Log(self.err.append),
            make_printer=lambda form: make(form, self.out.extend, self.out.extend),
            write=self.out.extend,
        )

    def run(self, job: Job, *names: str) -> int:
        self.file.write_text("".join(f"{name}\n" for name in names))
        values: dict[str, str | bool | int | list[str]] = {"no-userdb-lookup": True}
        if names:
            values["user-file"] = str(self.file)
        status = users.run(self.context, Arguments(values), job)
        self.context.flush()
        return status


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    users._signals.number = 0
    return Lab(tmp_path)


def test_one_after_the_other(lab: Lab) -> None:
    job = Job()
    assert lab.run(job, "alice", "bob") == 0
    assert job.seen == ["alice", "bob"]
    assert lab.out == b"alice who=alice\nbob who=bob\n"


def test_nobody_is_named(lab: Lab) -> None:
    with pytest.raises(AdminError, match="USER environment is missing") as failure:
        lab.run(Job())
    assert failure.value.status == USAGE


def test_one_who_fails_does_not_stop_the_others(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = users.open_mail

    def open_mail(context: Context, user: users.MailUser) -> users.UserStore:
        if user.username == "bob":
            raise InternalError("Initialization failed: no such place")
        return opened(context, user)

    monkeypatch.setattr(users, "open_mail", open_mail)
    job = Job()
    assert lab.run(job, "alice", "bob", "carl") == TEMPFAIL
    assert job.seen == ["alice", "carl"]
    assert "Initialization failed: no such place" in lab.err[0]
    assert lab.err[1] == "doveadm(bob): Error: User init failed\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_step(lab: Lab, number: int) -> None:
    before = signal.getsignal(number)
    job = Job(after=lambda _mail: os.kill(os.getpid(), number))
    assert lab.run(job, "alice", "bob") == TEMPFAIL
    assert job.seen == ["alice"]
    assert lab.out == b"alice who=alice\n"
    assert f"Killed with signal {int(number)}" in lab.err[0]
    assert signal.getsignal(number) is before


def test_the_second_interrupt_is_at_once(lab: Lab) -> None:
    def twice(_mail: Mail) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        lab.run(Job(after=twice), "alice", "bob")
    users._signals.number = 0


def test_a_file_that_is_not_there(lab: Lab, tmp_path: Path) -> None:
    arguments = Arguments({"no-userdb-lookup": True, "user-file": str(tmp_path / "missing")})
    assert users.run(lab.context, arguments, Job()) == TEMPFAIL
    assert "No such file or directory" in lab.err[0]


def test_progress_only_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECS", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")  # for rich, a terminal
    monkeypatch.setenv("TERM", "xterm")
    shown = progress.Progress("Indexing")
    assert not shown._shown  # pytest has standard error
    with shown.of("alice") as step:
        step("INBOX", 5)
    assert capsys.readouterr().err == ""
    shown._shown = True
    with shown.of("bob") as step:
        step("INBOX", 5)
    assert shown.messages == 10
    assert "Indexing bob INBOX" in capsys.readouterr().err
