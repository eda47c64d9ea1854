"""IDLE. RFC 2177."""

from pydovecot.services.imap.reply import Conversation, Need, bad, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync


def run(session: Session, _args: None) -> Conversation:
    # Before the look below, or a change between both would not wake us.
    if session.view is not None and session.view.watch() is None:
        _warn(session)
    yield b"+ idling\r\n"
    yield from sync(session, asked=True)
    while True:
        line = yield Need.WAKEUP
        if line is None:
            yield from sync(session, asked=True)
        elif line.upper() == b"DONE":
            yield from sync(session, asked=True)
            return ok("Idle completed")
        else:
            return bad("Expected DONE")


def _warn(session: Session) -> None:
    """Once a session: the administrator can change it."""
    if not session.warned_of_polling:
        session.warned_of_polling = True
        session.event.warning(
            "Inotify cannot be used (instance limit of the user?): looking for changes only every "
            f"{session.settings.mailbox_idle_check_interval} secs. "
            "Increase /proc/sys/fs/inotify/max_user_instances"
        )
