"""Giving up root, in children of the test."""

import os
from collections.abc import Callable

import pytest

from pydovecot.base import privileges
from pydovecot.base.privileges import PrivilegeError, Privileges

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")


def in_child(call: Callable[[], object]) -> int:
    """Exit status of `call` in a forked child: 0 when it returned something true."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if call() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.root
@as_root
def test_everything_is_dropped(tmp_path: object) -> None:
    def drop() -> bool:
        privileges.drop(Privileges(uid=12345, gid=12346, groups=(12347,), chroot=str(tmp_path)))
        ids = os.getresuid() == (12345,) * 3 and os.getresgid() == (12346,) * 3
        jailed = os.getcwd() == "/" and not os.path.exists("/etc")
        return ids and jailed and sorted(os.getgroups()) == [12346, 12347]

    assert in_child(drop) == 0


@pytest.mark.root
@as_root
def test_no_way_back() -> None:
    def back() -> bool:
        privileges.become_user(12345, 12346)
        try:
            os.setresuid(0, 0, 0)
        except PermissionError:
            return True
        return False

    assert in_child(back) == 0


@pytest.mark.root
@as_root
def test_an_ordinary_user_is_only_itself() -> None:
    def other() -> bool:
        privileges.become_user(12345, 12346)
        privileges.become_user(12345, 99)  # itself: nothing to do
        try:
            privileges.become_user(12399, 12346)
        except PrivilegeError as exc:
            return "Operation not permitted" in str(exc)
        return False

    assert in_child(other) == 0


def test_names() -> None:
    assert privileges.user_id("root") == (0, 0)
    assert privileges.user_id("4711999") == (4711999, 4711999)
    assert privileges.group_id("0") == 0
    with pytest.raises(PrivilegeError, match="User doesn't exist: no-such-user"):
        privileges.user_id("no-such-user")
    with pytest.raises(PrivilegeError, match="Group doesn't exist: no-such-group"):
        privileges.group_id("no-such-group")
