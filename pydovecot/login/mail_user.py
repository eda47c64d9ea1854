"""Who a mail process becomes: userdb's fields over the settings, checked, and the step itself.

Runs in a mail worker as root, before the first mail file is opened. Root never gets mail, and a uid or gid
outside first_valid_* .. last_valid_* neither. The wording of failures is Dovecot's.
"""

import os
import pwd
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pydovecot.base import privileges
from pydovecot.event.event import Event
from pydovecot.login.settings import MailUserSettings
from pydovecot.model.errors import InternalError
from pydovecot.settings.expand import expand, user_table
from pydovecot.settings.view import SettingsView
from pydovecot.storage.settings import MailSettings

# Fields of a userdb answer that are not settings of the same name.
_OWN_FIELDS: Final = frozenset({"uid", "gid", "home", "chroot", "system_groups_user", "nice"})


_INVALID: Final = "Invalid settings in userdb: "

# What a client is told when the reason is for the log only.
INTERNAL_ERROR: Final = "Internal error occurred. Refer to server log for more information."


def dated_internal_error() -> str:
    """The same with the time, by which it is found in the log."""
    return f"{INTERNAL_ERROR} [{time.strftime('%Y-%m-%d %H:%M:%S')}]"


@dataclass(frozen=True, slots=True)
class MailUser:
    """A user as a mail process needs it. uid and gid are None where the process keeps its own.

    `shared_identity`: every user of this configuration has the same, because mail_uid and mail_gid decide.
    """

    username: str
    uid: int | None
    gid: int | None
    groups: tuple[int, ...]
    home: str
    chroot: str
    nice: int
    settings: SettingsView
    variables: Mapping[str, str]
    shared_identity: bool

    @property
    def identity(self) -> tuple[int | None, int | None, tuple[int, ...], str]:
        """Two users with the same identity can be served by one process, one after the other."""
        return self.uid, self.gid, self.groups, self.chroot


def variables(username: str, service: str, more: Mapping[str, str]) -> dict[str, str]:
    """The % variables of a mail user, by long name (settings.expand knows the letters)."""
    return {**user_table(username, service=service), "pid": str(os.getpid()), **more}


def resolve(
    view: SettingsView, username: str, service: str, fields: Mapping[str, str], facts: Mapping[str, str]
) -> MailUser:
    """What `fields` (a userdb's answer) and the settings make of a user. Raises InternalError.

    `facts` are further % variables: lip, rip, session. Looks users and groups up, changes nothing.
    """
    if fields.get("uid") == "0":
        raise InternalError(f"{_INVALID}userdb returned 0 as uid")
    common = view.get(MailUserSettings)
    view = view.with_overrides(_overrides(fields))
    settings = view.get(MailUserSettings)
    uid = _uid(settings, "userdb lookup" if "uid" in fields else "mail_uid setting")
    gid = _gid(settings, "userdb lookup" if "gid" in fields else "mail_gid setting")
    table = variables(username, service, facts)
    table["uid"] = str(os.geteuid() if uid is None else uid)
    table["gid"] = str(os.getegid() if gid is None else gid)
    # Whether a userdb may chroot it cannot say itself, except by the form of the home.
    chroots = common.valid_chroot_dirs if "chroot" in fields else settings.valid_chroot_dirs
    home, chroot = _home_and_chroot(settings, fields, table, chroots)
    table["home"] = home
    return MailUser(
        username,
        uid,
        gid,
        _groups(settings, fields.get("system_groups_user", ""), gid),
        home,
        chroot,
        _nice(fields),
        view,
        table,
        bool(common.mail_uid and common.mail_gid)
        and _same_ids(common, settings)
        and not chroot
        and "system_groups_user" not in fields,
    )


def _same_ids(common: MailUserSettings, own: MailUserSettings) -> bool:
    """True if the user's own uid and gid are those of mail_uid and mail_gid."""
    return _uid(common) == _uid(own) and _gid(common) == _gid(own)


def _overrides(fields: Mapping[str, str]) -> dict[str, str]:
    overrides = {key: value for key, value in fields.items() if key not in _OWN_FIELDS}
    for field, setting in (("uid", "mail_uid"), ("gid", "mail_gid")):
        if field in fields:
            overrides[setting] = fields[field]
    return overrides


def _home_and_chroot(
    settings: MailUserSettings, fields: Mapping[str, str], table: Mapping[str, str], valid_chroot_dirs: str
) -> tuple[str, str]:
    home = fields["home"] if "home" in fields else expand(settings.mail_home, table)
    chroot = fields.get("chroot", "")
    if "chroot" not in fields and valid_chroot_dirs and "/./" in home:
        # As wu-ftpd writes it: <chroot>/./<home>
        chroot, _, home = home.partition("/./")
        home = "/" + home
    if chroot:
        if not _is_below(chroot, valid_chroot_dirs):
            raise InternalError(
                f"{_INVALID}userdb returned invalid chroot directory: {chroot} "
                "(see valid_chroot_dirs setting)"
            )
    else:
        chroot = expand(settings.mail_chroot, table)
    if home and not home.startswith("/"):
        raise InternalError(f"Relative home directory paths not supported: {home}")
    return home, chroot.removesuffix("/.")


def _is_below(path: str, folders: str) -> bool:
    """One of the folders is the path, or is above it."""
    if ".." in path.split("/"):
        return False
    return any(f"{path}/".startswith(f"{one.rstrip('/')}/") for one in folders.split(":") if one)


def _uid(settings: MailUserSettings, source: str = "") -> int | None:
    if not settings.mail_uid:
        if os.geteuid() == 0:
            raise InternalError("User is missing UID (see mail_uid setting)")
        return None
    if settings.mail_uid.isdigit():
        uid = int(settings.mail_uid)  # no question to NSS, which would open files in each session
    else:
        try:
            uid = privileges.user_id(settings.mail_uid)[0]
        except privileges.PrivilegeError as exc:
            raise InternalError(f"Unknown mail_uid user: {settings.mail_uid}") from exc
    last = settings.last_valid_uid
    if uid < settings.first_valid_uid or (last and uid > last):
        raise InternalError(
            f"Mail access for users with UID {uid} not permitted "
            f"(see first_valid_uid in config file, uid from {source})."
        )
    if uid == 0:
        raise InternalError("Mail access not allowed for root")
    return uid


def _gid(settings: MailUserSettings, source: str = "") -> int | None:
    if not settings.mail_gid:
        if settings.first_valid_gid > 0 and os.getegid() == 0:
            raise InternalError("User is missing GID (see mail_gid setting)")
        return None
    try:
        gid = privileges.group_id(settings.mail_gid)
    except privileges.PrivilegeError as exc:
        raise InternalError(f"Unknown mail_gid group: {settings.mail_gid}") from exc
    if not _gid_allowed(settings, gid):
        raise InternalError(
            f"Mail access for users with GID {gid} not permitted "
            f"(see first_valid_gid in config file, gid from {source})."
        )
    return gid


def _gid_allowed(settings: MailUserSettings, gid: int) -> bool:
    return gid >= settings.first_valid_gid and (not settings.last_valid_gid or gid <= settings.last_valid_gid)


def _groups(settings: MailUserSettings, system_user: str, gid: int | None) -> tuple[int, ...]:
    """Supplementary groups: the configured ones, and those of the system user within the allowed range."""
    groups: set[int] = set()
    names = [name.strip() for name in settings.mail_access_groups.split(",")]
    try:
        groups.update(privileges.group_id(name) for name in names if name)
    except privileges.PrivilegeError as exc:
        raise InternalError(f"mail_access_groups: {exc}") from exc
    if system_user:
        try:
            primary = pwd.getpwnam(system_user).pw_gid if gid is None else gid
            of_user = privileges.groups_of(system_user, primary)
        except (KeyError, OSError) as exc:
            raise InternalError(f"initgroups({system_user}) failed: {exc}") from exc
        # A membership in wheel must not come along: only groups that may have mail.
        groups.update(group for group in of_user if _gid_allowed(settings, group))
    return tuple(sorted(groups))


def _nice(fields: Mapping[str, str]) -> int:
    try:
        return int(fields.get("nice", "0"))
    except ValueError:
        return 0


def user_log_prefix(user: MailUser) -> str:
    """What the log lines of a user's session begin with: mail_log_prefix."""
    return expand(user.settings.get(MailUserSettings).mail_log_prefix, user.variables)


def become(user: MailUser, event: Event) -> None:
    """Be this user from now on, in its home directory. Without root nothing changes but the directory.

    Raises InternalError; the process must not go on then.
    """
    if user.nice:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, user.nice)
        except OSError as exc:
            event.error(f"setpriority({user.nice}) failed: {exc.strerror}")
    if os.geteuid() == 0:
        own = privileges.Privileges(user.uid, user.gid, user.groups, user.chroot)
        privileges.drop(own, saved_gid=_privileged_gid(user))
    elif user.uid is not None and user.gid is not None:
        privileges.become_user(user.uid, user.gid)
    enter_home(user, event)


def _privileged_gid(user: MailUser) -> int | None:
    """mail_privileged_group: what the user may not have, and the process only for single steps."""
    name = user.settings.get(MailSettings).mail_privileged_group
    return privileges.group_id(name) if name else None


@contextmanager
def temporarily(user: MailUser) -> Iterator[None]:
    """Open this user's mail files with its rights: for processes that serve many users.

    Raises InternalError: a process that is not root can only be who it is, and a chroot is for good.
    """
    if user.chroot:
        raise InternalError(f"Can't chroot into {user.chroot}: this process serves other users too")
    if os.geteuid() != 0:
        if user.uid is not None and user.uid != os.geteuid():
            raise InternalError(
                f"seteuid({user.uid}) failed with euid={os.geteuid()}: Operation not permitted"
            )
        yield
        return
    if user.uid is None or user.gid is None:
        raise InternalError("User is missing UID or GID")
    with privileges.as_user(user.uid, user.gid, user.groups):
        yield


def enter_home(user: MailUser, event: Event) -> None:
    """Make the home the working directory, where there is one; core dumps and relative paths land there."""
    if not user.home:
        return
    try:
        os.chdir(user.home)
    except FileNotFoundError:
        event.debug(f"Home dir not found: {user.home}")
    except OSError as exc:
        event.error(f"chdir({user.home}) failed: {exc.strerror}")
