"""IDLE. RFC 2177."""

from collections.abc import Iterator

from pydovecot.services.imap.reply import Conversation, Need, bad, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import highest, sync


def run(session: Session, _args: None) -> Conversation:
    # Before the look below, or a change between both would not wake us.
    view = session.view
    if view is not None:
        if view.watch() is None:
            _warn(session, view.watch_problem)
        view.drain_watch()  # the look below sees what that was about
    yield b"+ idling\r\n"
    yield from _news(session)
    while True:
        line = yield Need.WAKEUP
        if line is None:
            yield from _news(session)
        elif line.upper() == b"DONE":
            yield from sync(session, asked=True)
            return ok("Idle completed")
        else:
            return bad("Expected DONE")


def _news(session: Session) -> Iterator[bytes]:
    yield from sync(session, asked=True)
    line = highest(session)
    if line:
        yield line


def _warn(session: Session, problem: str) -> None:
    """Once a session: the administrator can change it."""
    if not session.warned_of_polling:
        session.warned_of_polling = True
        session.event.warning(
            "Inotify cannot be used, so changes are looked for every "
            f"{session.settings.mailbox_idle_check_interval} secs only: {problem}"
        )
