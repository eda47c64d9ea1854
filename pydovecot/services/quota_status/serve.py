"""One connection of Postfix: each request is a recipient, to be looked up and asked about."""

import os
import socket
from typing import Final

from pydovecot.delivery import detail
from pydovecot.delivery.settings import DeliverySettings
from pydovecot.event.event import Event
from pydovecot.ipc.auth_master import AuthLookupFailed, AuthMaster
from pydovecot.login import mail_user
from pydovecot.login.settings import MailUserSettings
from pydovecot.model.errors import InternalError, UserError
from pydovecot.proto.smtp import path as paths
from pydovecot.proto.smtp.path import BadPath
from pydovecot.runtime.context import Accepted, Context
from pydovecot.services.quota_status.request import Reader, Request, TooLong, answer
from pydovecot.settings.expand import expand
from pydovecot.settings.view import SettingsView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.hooks import NotTaken
from pydovecot.storage.user import StorageUser

SERVICE: Final = "quota-status"
READ_BYTES: Final = 1 << 14
WRITE_SECS: Final = 10.0
DUNNO: Final = "DUNNO"
UNKNOWN_USER: Final = "REJECT Unknown user"
TEMPORARY: Final = "DEFER_IF_PERMIT Temporary internal error"


def on_connection(context: Context, accepted: Accepted) -> None:
    """Answer until the client is gone."""
    if not isinstance(context.state, AuthMaster):
        path = os.path.join(context.base_dir, context.settings.get(MailUserSettings).auth_socket_path)
        context.state = AuthMaster(path)
    judge = Judge(context.settings, context.event, context.state)
    reader = Reader()
    with accepted.sock as sock:
        sock.settimeout(WRITE_SECS)
        while not context.closing:
            if not context.wait_readable((sock.fileno(),)):
                continue
            try:
                data = sock.recv(READ_BYTES)
                requests = list(reader.feed(data))
            except ConnectionError:
                return
            except TooLong:
                context.event.error("Client sent a line that is too long")
                return
            if not data:
                return
            for request in requests:
                if not _sent(sock, answer(judge.action(request))):
                    return


def _sent(sock: socket.socket, data: bytes) -> bool:
    """False: the client is gone, or takes nothing."""
    try:
        sock.sendall(data)
    except (ConnectionError, TimeoutError):
        return False
    return True


class Judge:
    """What Postfix shall do with a recipient."""

    def __init__(self, view: SettingsView, event: Event, auth: AuthMaster) -> None:
        self._view, self._event, self._auth = view, event, auth
        self._delimiter = view.get(DeliverySettings).recipient_delimiter

    def action(self, request: Request) -> str:
        """The words behind `action=`."""
        if request.recipient is None:
            return DUNNO
        try:
            address = _parse(request.recipient)
        except BadPath as exc:
            shown = request.recipient.decode("utf-8", "replace")
            self._event.error(f"Client sent invalid recipient address `{shown}': {exc}")
            return DUNNO
        local = address.local.decode("utf-8", "surrogateescape")
        domain = address.domain.decode("utf-8", "surrogateescape")
        name, _ = detail.split(local, domain, self._delimiter)
        try:
            return self._of_user(name, request.size)
        except (AuthLookupFailed, InternalError) as exc:
            self._event.error(f"Failed to lookup user {name}: {exc}")
            return TEMPORARY

    def _of_user(self, name: str, size: int) -> str:
        found = self._auth.user(name, service=SERVICE, params={})
        if found is None:
            return self._view.plugin.get("quota_status_nouser", UNKNOWN_USER)
        user = mail_user.resolve(self._view, found.user, SERVICE, found.fields, {})
        with mail_user.temporarily(user):
            described = StorageUser(
                user.username, user.home, SERVICE, dict(user.variables), self._event.error
            )
            store = open_store(described, user.settings)
            try:
                # A message that says nothing of its size has one octet at least.
                refused = store.refusal("INBOX", max(1, size))
            finally:
                store.close()
        plugin = user.settings.plugin
        for setting in _settings(refused):
            if setting in plugin:
                return expand(plugin[setting], user.variables)
        return "OK" if refused is None else f"554 5.2.2 {refused.text}"


def _parse(recipient: bytes) -> paths.Path:
    """With or without brackets. Raises BadPath."""
    bracketed = recipient.startswith(b"<") and recipient.endswith(b">")
    address = paths.parse_forward(recipient[1:-1] if bracketed else recipient)
    if not address.local:
        raise BadPath("Path is empty string")
    return address


def _settings(refused: UserError | None) -> tuple[str, ...]:
    """Where the answer may stand, best first."""
    if refused is None:
        return ("quota_status_success",)
    if isinstance(refused, NotTaken) and refused.never:
        return "quota_status_toolarge", "quota_status_overquota"
    return ("quota_status_overquota",)
