"""One authentication or lookup: who asks from where, who the user became on the way, what was found."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydovecot.authdb.fields import Fields
from pydovecot.password.schemes import Stored
from pydovecot.password.secret import HIDDEN, Secret
from pydovecot.settings import expand

MAX_LOG_USERNAME: Final = 64  # Dovecot: MAX_LOG_USERNAME_LEN

# AUTH parameters that are only kept: parameter -> attribute.
_TEXT_PARAMETERS: Final[Mapping[str, str]] = {
    "service": "service",
    "session": "session",
    "lip": "lip",
    "rip": "rip",
    "lport": "lport",
    "rport": "rport",
    "real_lip": "real_lip",
    "real_rip": "real_rip",
    "real_lport": "real_lport",
    "real_rport": "real_rport",
    "local_name": "local_name",
    "client_id": "client_id",
    "cert_username": "cert_username",
    "forward_fields": "forward_fields",
}
_FLAG_PARAMETERS: Final[Mapping[str, str]] = {
    "valid-client-cert": "valid_client_cert",
    "no-penalty": "no_penalty",
    "nologin": "no_login",
    "final-resp-ok": "final_resp_ok",
    "debug": "debug",
}


def sanitize(text: str, limit: int) -> str:
    """A text from outside that is fit for a log line: no control characters, not longer than `limit`."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


@dataclass(slots=True)
class AuthRequest:
    """The state of one request. Drivers read it and set `stored`, `extra` and `userdb`."""

    mech: str = ""  # "" for lookups without authentication
    service: str = ""
    session: str = ""
    lip: str = ""
    rip: str = ""
    lport: str = ""
    rport: str = ""
    real_lip: str = ""
    real_rip: str = ""
    real_lport: str = ""
    real_rport: str = ""
    local_name: str = ""
    client_id: str = ""
    cert_username: str = ""
    forward_fields: str = ""
    secured: str = ""  # "", "secured" or "TLS"
    valid_client_cert: bool = False
    no_penalty: bool = False
    no_login: bool = False
    final_resp_ok: bool = False
    debug: bool = False
    userdb_lookup: bool = False  # USER: no authentication before

    user: str | None = None  # who it is now
    original_user: str | None = None  # as the client wrote it
    translated_user: str | None = None  # after translation and format, before passdb changed it
    requested_login_user: str | None = None  # a master user wants to become this one
    master_user: str | None = None

    password: Secret | None = None  # given by the client, for plaintext mechanisms
    stored: Stored | None = None  # found by a passdb; None with "nopassword" in extra
    extra: Fields = field(default_factory=Fields)
    userdb: Fields | None = None
    userdb_prefetched: bool = False
    failed: bool = False  # a check besides the password did not pass (allow_nets, fail)
    password_verified: bool = False  # an earlier passdb has done it
    tempfail: bool = False  # userdb said so

    def set_parameter(self, name: str, value: str) -> bool:
        """Take one parameter of an AUTH, USER or PASS line; False if it is none that we know."""
        attribute = _TEXT_PARAMETERS.get(name)
        if attribute is not None:
            setattr(self, attribute, value)
            return True
        attribute = _FLAG_PARAMETERS.get(name)
        if attribute is not None:
            setattr(self, attribute, True)
            return True
        if name == "secured":
            self.secured = "TLS" if value == "tls" else "secured"
            return True
        return False

    def userdb_fields(self) -> Fields:
        """The userdb fields, made when first needed."""
        if self.userdb is None:
            self.userdb = Fields()
        return self.userdb

    def log_id(self) -> str:
        """What stands in parentheses after a database's or mechanism's name: `alice,1.2.3.4,<session>`."""
        parts = ["?" if self.user is None else sanitize(self.user, MAX_LOG_USERNAME)]
        if self.rip:
            parts.append(self.rip)
        if self.requested_login_user is not None:
            parts.append("master")
        if self.session:
            parts.append(f"<{sanitize(self.session, MAX_LOG_USERNAME)}>")
        return ",".join(parts)

    def expand(self, template: str) -> str:
        """`template` with the variables of authentication (features G.3)."""
        if "%" not in template:
            return template
        return expand.expand(template, RequestTable(self), self._functions())

    def expand_key(self, template: str) -> str:
        """As `expand`, and different values never come to one text, wherever one ends and the next begins."""
        return self.expand_escaped(template, lambda value: f"{len(value)}:{value}")

    def expand_path(self, template: str) -> str:
        """As `expand`, for a path: what a client sent never leads into another folder."""
        if "%" not in template:
            return template
        return expand.expand(template, _PathTable(self), self._functions())

    def expand_escaped(
        self, template: str, escape: Callable[[str], str], *, hide_password: bool = False
    ) -> str:
        """As `expand`, each value made harmless by `escape` before it goes in."""
        table = _EscapedTable(self, escape, hide_password)
        functions = {name: _escaped(function, escape) for name, function in self._functions().items()}
        return expand.expand(template, table, functions)

    def _functions(self) -> Mapping[str, Callable[[str], str | None]]:
        userdb = self.userdb
        return {"passdb": self.extra.get, "userdb": userdb.get if userdb is not None else _nothing}


def _escaped(
    function: Callable[[str], str | None], escape: Callable[[str], str]
) -> Callable[[str], str | None]:
    def call(name: str) -> str | None:
        value = function(name)
        return None if value is None else escape(value)

    return call


def _nothing(_name: str) -> None:
    return None


def _part(user: str | None, index: int) -> str:
    return (user or "").partition("@")[index]


def _last_domain(user: str | None) -> str:
    return (user or "").rpartition("@")[2] if "@" in (user or "") else ""


def _first_domain(user: str | None) -> str:
    return _part(user, 2).partition("@")[0]


_VARIABLES: Final[Mapping[str, Callable[[AuthRequest], str]]] = {
    "user": lambda r: r.user or "",
    "username": lambda r: _part(r.user, 0),
    "domain": lambda r: _part(r.user, 2),
    "domain_first": lambda r: _first_domain(r.user),
    "domain_last": lambda r: _last_domain(r.user),
    "service": lambda r: r.service,
    "home": lambda r: (r.userdb.get("home") or "") if r.userdb is not None else "",
    "lip": lambda r: r.lip,
    "rip": lambda r: r.rip,
    "lport": lambda r: r.lport,
    "rport": lambda r: r.rport,
    "real_lip": lambda r: r.real_lip or r.lip,
    "real_rip": lambda r: r.real_rip or r.rip,
    "real_lport": lambda r: r.real_lport or r.lport,
    "real_rport": lambda r: r.real_rport or r.rport,
    "mech": lambda r: r.mech,
    "secured": lambda r: r.secured,
    "cert": lambda r: "valid" if r.valid_client_cert else "",
    "session": lambda r: r.session,
    "local_name": lambda r: r.local_name,
    "client_id": lambda r: r.client_id,
    "password": lambda r: r.password.reveal().decode("utf-8", "surrogateescape") if r.password else "",
    "login_user": lambda r: r.requested_login_user or "",
    "login_username": lambda r: _part(r.requested_login_user, 0),
    "login_domain": lambda r: _part(r.requested_login_user, 2),
    "master_user": lambda r: r.master_user or "",
    "orig_user": lambda r: r.original_user or "",
    "orig_username": lambda r: _part(r.original_user, 0),
    "orig_domain": lambda r: _part(r.original_user, 2),
    "auth_user": lambda r: r.master_user or r.original_user or "",
    "auth_username": lambda r: _part(r.master_user or r.original_user, 0),
    "auth_domain": lambda r: _part(r.master_user or r.original_user, 2),
}


class RequestTable(Mapping[str, str]):
    """A request as the table of % variables; a value is made only when a template asks for it."""

    __slots__ = ("_request",)

    def __init__(self, request: AuthRequest) -> None:
        self._request = request

    def __getitem__(self, name: str) -> str:
        return _VARIABLES[name](self._request)

    def __iter__(self) -> Iterator[str]:
        return iter(_VARIABLES)

    def __len__(self) -> int:
        return len(_VARIABLES)


class _PathTable(RequestTable):
    """Values cut at their first slash, as Dovecot does; `.` and `..` stay no folders either."""

    __slots__ = ()

    def __getitem__(self, name: str) -> str:
        value = super().__getitem__(name).partition("/")[0]
        return "_" if value in (".", "..") else value


class _EscapedTable(RequestTable):
    """Values as they may stand in a query."""

    __slots__ = ("_escape", "_hide_password")

    def __init__(self, request: AuthRequest, escape: Callable[[str], str], hide_password: bool) -> None:
        super().__init__(request)
        self._escape, self._hide_password = escape, hide_password

    def __getitem__(self, name: str) -> str:
        if self._hide_password and name == "password":
            return HIDDEN
        return self._escape(super().__getitem__(name))
