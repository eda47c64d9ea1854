"""Why "Permission denied": which directory lacks what, in Dovecot's words."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.base import eacces
from pydovecot.base.hostdomain import host_domain
from tests.support.dovecot_imap import as_ordinary_user, user_directory


@pytest.fixture
def home() -> Iterator[Path]:
    path = user_directory()
    yield path
    (path / "closed").chmod(0o700)
    (path / "closed/in").rmdir()
    (path / "closed").rmdir()
    path.rmdir()


def test_the_directory_that_is_in_the_way(home: Path) -> None:
    (home / "closed/in").mkdir(parents=True)
    for path in (home / "closed/in", home / "closed"):
        os.chown(path, home.stat().st_uid, home.stat().st_gid)

    def work() -> None:
        assert "UNIX perms appear ok" in eacces.explain(str(home / "closed/in/file"))
        (home / "closed/in").chmod(0o500)
        text = eacces.explain(str(home / "closed/in/file"))
        assert f"missing +w perm: {home}/closed/in, dir owned by {os.getuid()}:" in text, text
        assert text.startswith(f"(euid={os.geteuid()}(") and "mode=0500)" in text
        (home / "closed").chmod(0o600)
        text = eacces.explain(str(home / "closed/in/file"))
        assert f"missing +x perm: {home}/closed, dir owned by" in text, text

    as_ordinary_user(work)


def test_the_name_of_this_host() -> None:
    assert host_domain().startswith(os.uname().nodename.partition(".")[0]) or "." in host_domain()
