"""How a user name given by a client becomes the one that is looked up (features E-60, E-61)."""

import re
from typing import Final

from pydovecot.authdb.request import AuthRequest, sanitize
from pydovecot.authdb.settings import AuthSettings
from pydovecot.settings import expand

MAX_LOG_BAD_NAME: Final = 128
_EMPTY: Final = "Empty username"
# Homes are made of %u, %n and %d: none of them may be "..".
_FOLDER_ABOVE: Final = re.compile(r"(?:\A|[@/])\.\.(?:[@/]|\Z)")


class NameRules:
    """auth_default_realm, auth_username_*, auth_master_user_separator. `masters`: there are master dbs."""

    def __init__(self, settings: AuthSettings, *, masters: bool = True) -> None:
        self._masters = masters
        self._realm = settings.auth_default_realm
        self._format = settings.auth_username_format
        self._separator = settings.auth_master_user_separator[:1]
        pairs = settings.auth_username_translation.encode("utf-8", "surrogateescape")
        self._translation = bytes.maketrans(pairs[0 : len(pairs) & ~1 : 2], pairs[1::2]) if pairs else b""
        chars = settings.auth_username_chars.encode("utf-8", "surrogateescape")
        self._forbidden = re.compile(b"[^" + re.escape(chars) + b"]") if chars else None
        self.cert_username = settings.auth_ssl_username_from_cert

    def set_user(self, request: AuthRequest, username: str) -> str | None:
        """Make `username` the request's user; a text for the log when it cannot be."""
        login_user = None
        if self._separator and self._separator in username:
            login_user, _, username = username.partition(self._separator)
        if request.original_user is None:
            request.original_user = username
        if request.cert_username and self.cert_username:
            username = request.cert_username  # RFC 4422 6: the certificate says who it is
        if not username:
            return _EMPTY
        fixed, error = self._fix(request, username)
        if error is not None:
            return error
        request.user = fixed
        if request.translated_user is None:
            request.translated_user = fixed
        if login_user is not None:
            return self.set_login_user(request, login_user)
        return None

    def set_login_user(self, request: AuthRequest, username: str) -> str | None:
        """The request's user wants to become `username`; a text for the log when that cannot be."""
        if not username:
            return "Master user login attempted to use empty login username"
        if username == request.user:
            return None
        if not self._masters:
            return "Master user login attempted without master passdbs"
        fixed, error = self._fix(request, username)
        if error is None:
            request.requested_login_user = fixed
        return error

    def _fix(self, request: AuthRequest, username: str) -> tuple[str, str | None]:
        user = username
        if self._realm and "@" not in user:
            user = f"{user}@{self._realm}"
        raw = user.encode("utf-8", "surrogateescape")
        if self._translation:
            raw = raw.translate(self._translation)
        bad = self._forbidden.search(raw) if self._forbidden is not None else None
        if bad is not None:
            return "", (
                f"Username character disallowed by auth_username_chars: 0x{bad[0][0]:02x} "
                f"(username: {sanitize(username, MAX_LOG_BAD_NAME)})"
            )
        user = raw.decode("utf-8", "surrogateescape") if self._translation else user
        user = self._formatted(request, user)
        if not user:
            return "", _EMPTY
        if _FOLDER_ABOVE.search(user):
            return "", f"Username names a folder above (username: {sanitize(username, MAX_LOG_BAD_NAME)})"
        return user, None

    def _formatted(self, request: AuthRequest, user: str) -> str:
        if self._format == "%Lu":
            return user.lower()
        if not self._format:
            return user
        name, _, domain = user.partition("@")
        table = {
            "user": user, "username": name, "domain": domain,
            "domain_first": domain.partition("@")[0], "domain_last": domain.rpartition("@")[2],
            "service": request.service, "lip": request.lip, "rip": request.rip, "session": request.session,
        }  # fmt: skip
        return expand.expand(self._format, table)
