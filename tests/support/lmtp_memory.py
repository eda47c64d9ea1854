"""LMTP in memory: the protocol core and real deliveries into the memory driver, users without auth."""

import os
from collections.abc import Mapping

from pydovecot.event.event import Event
from pydovecot.ipc.auth_master import AuthMaster, UserReply
from pydovecot.services.lmtp.connection import LmtpConnection
from pydovecot.services.lmtp.delivery import LocalDelivery, largest_message
from pydovecot.services.lmtp.settings import LmtpSettings
from pydovecot.services.lmtp.transaction import Client
from pydovecot.settings.view import SettingsView
from tests.support.serverconf import ROOT_MAIL_UID

UID = str(os.geteuid() or ROOT_MAIL_UID)
GID = str(os.getegid() or ROOT_MAIL_UID)


class EverybodyIsHere(AuthMaster):
    """userdb static: all names that auth_username_chars allows."""

    def __init__(self) -> None:
        super().__init__("/nonexistent")

    def user(
        self, user: str, *, service: str, params: Mapping[str, str | None] | None = None
    ) -> UserReply | None:
        if not all(char.isalnum() or char in "+.-_@" for char in user):
            return None
        return UserReply(user.lower(), {"uid": UID, "gid": GID, "home": "/nonexistent"})


def connection(view: SettingsView, event: Event, *, trusted: bool = False) -> LmtpConnection:
    """One client on a UNIX socket."""
    backend = LocalDelivery(view, event, EverybodyIsHere(), "host", lambda _prefix: None)
    client = Client("session0session0session", trusted=trusted)
    settings = view.get(LmtpSettings)
    return LmtpConnection(
        client, backend, settings, event, hostname="host", tls_offered=True,
        max_size=largest_message(view, event),
    )  # fmt: skip
