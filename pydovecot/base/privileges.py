"""How a process gives up root: groups, chroot, user, in the one order that works, and never back."""

import grp
import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydovecot.model.errors import InternalError


class PrivilegeError(InternalError):
    """The privileges asked for cannot be had; the process must not go on."""


@dataclass(frozen=True, slots=True)
class Privileges:
    """What a process becomes. None keeps what it is; `groups` are all supplementary groups."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    chroot: str = ""

    @property
    def is_root(self) -> bool:
        """True when the process would stay root."""
        return self.uid is None or self.uid == 0


def drop(privileges: Privileges, *, saved_gid: int | None = None) -> None:
    """Become `privileges` for good. Needs root; the parts that are None stay.

    `saved_gid`: one more group, which has no effect outside `with_group`.

    After a change of user there is no way back: checked, not assumed. Raises PrivilegeError with the system's
    words.
    """
    try:
        if privileges.chroot:
            os.urandom(1)  # where getrandom(2) is missing (RHEL 7), Python opens /dev/urandom, and keeps it
            os.chroot(privileges.chroot)
            os.chdir("/")
        if privileges.gid is not None:
            os.setgroups(sorted({privileges.gid, *privileges.groups}))
            os.setresgid(privileges.gid, privileges.gid, privileges.gid if saved_gid is None else saved_gid)
        elif privileges.groups:
            os.setgroups(sorted({*os.getgroups(), *privileges.groups}))
        if privileges.uid is not None:
            os.setresuid(privileges.uid, privileges.uid, privileges.uid)
    except OSError as exc:
        raise PrivilegeError(f"{privileges} failed with euid={os.geteuid()}: {exc.strerror}") from exc
    if not privileges.is_root:
        _check_no_way_back()


@contextmanager
def as_user(uid: int, gid: int, groups: Sequence[int] = ()) -> Iterator[None]:
    """Be this user for a while, as far as the kernel asks for files; root again behind it.

    Needs root. A process that cannot come back must not go on: it ends. Raises PrivilegeError.
    """
    before = os.getegid(), os.getgroups()
    try:
        os.setgroups(sorted({gid, *groups}))
        os.setegid(gid)
        os.seteuid(uid)
    except OSError as exc:
        _root_again(*before)
        raise PrivilegeError(f"seteuid({uid}) failed with euid={os.geteuid()}: {exc.strerror}") from exc
    try:
        yield
    finally:
        _root_again(*before)


def _root_again(gid: int, groups: Sequence[int]) -> None:
    try:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)
    except OSError:
        os._exit(89)  # whose rights the rest would run with is not known


def become_user(uid: int, gid: int, *, groups: Sequence[int] = (), chroot: str = "") -> None:
    """Become a mail user for good, as root; as an ordinary user only the user itself is accepted.

    An ordinary user's process keeps its groups and its root directory: it could not do otherwise. Raises
    PrivilegeError (an InternalError).
    """
    if os.geteuid() == 0:
        drop(Privileges(uid=uid, gid=gid, groups=tuple(groups), chroot=chroot))
        return
    if uid != os.geteuid():
        raise PrivilegeError(
            f"setuid({uid}) failed with euid={os.geteuid()}: Operation not permitted "
            "(the server was started by an ordinary user)"
        )


def _check_no_way_back() -> None:
    try:
        os.setuid(0)
    except OSError:
        return
    raise PrivilegeError("We couldn't drop root privileges")


def user_id(name: str) -> tuple[int, int]:
    """uid and primary gid of a user name or number. Raises PrivilegeError `User doesn't exist: x`."""
    if name.isdigit():
        try:
            entry = pwd.getpwuid(int(name))
        except KeyError:
            return int(name), int(name)
        return entry.pw_uid, entry.pw_gid
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise PrivilegeError(f"User doesn't exist: {name}") from None
    return entry.pw_uid, entry.pw_gid


def group_id(name: str) -> int:
    """gid of a group name or number. Raises PrivilegeError `Group doesn't exist: x`."""
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise PrivilegeError(f"Group doesn't exist: {name}") from None


def groups_of(name: str, gid: int) -> tuple[int, ...]:
    """All groups that the system's group database gives a user, `gid` included."""
    return tuple(os.getgrouplist(name, gid))


@contextmanager
def with_group(gid: int) -> Iterator[None]:
    """Have one more group's rights for a while, as the effective group.

    Possible for a process that has kept it as its saved group (`drop`), or that is root behind
    `as_user`. OSError when neither; a process that cannot go back ends.
    """
    uid, before = os.geteuid(), os.getegid()
    try:
        os.setegid(gid)
    except PermissionError:
        if 0 not in os.getresuid():
            raise
        os.seteuid(0)
        try:
            os.setegid(gid)
        finally:
            os.seteuid(uid)
    try:
        yield
    finally:
        try:
            if uid != 0 and 0 in os.getresuid():
                os.seteuid(0)
                os.setegid(before)
                os.seteuid(uid)
            else:
                os.setegid(before)
        except OSError:
            os._exit(89)  # whose rights the rest would run with is not known
