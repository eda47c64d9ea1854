"""Which events are logged, with what of each message, and the lines themselves, to the letter as Dovecot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.delivery.mail import shown
from pydovecot.mime import header
from pydovecot.model.errors import InternalError
from pydovecot.storage.api import Column

EVENTS: Final = (
    "delete", "undelete", "expunge", "save", "copy", "mailbox_create", "mailbox_delete", "mailbox_rename",
    "flag_change",
)  # fmt: skip
DEFAULT_EVENTS: Final = "delete undelete expunge save copy mailbox_delete mailbox_rename"
FIELDS: Final = ("uid", "box", "msgid", "size", "vsize", "from", "subject", "flags")
DEFAULT_FIELDS: Final = "uid box msgid size"
MAX_BOX: Final = 64  # octets
RECENT: Final = "\\Recent"
# Columns that a field is made of.
_COLUMNS: Final[Mapping[str, Column]] = {
    "size": Column.PHYSICAL_SIZE,
    "vsize": Column.SIZE,
    "msgid": Column.FIELDS,
    "from": Column.FIELDS,
    "subject": Column.FIELDS,
    "flags": Column.FLAGS,
}
_HEADERS: Final = {"msgid": b"message-id", "from": b"from", "subject": b"subject"}


@dataclass(slots=True)
class Facts:
    """What a line can say of one message. `flags` are names, system flags first."""

    uid: int
    size: int = 0
    vsize: int = 0
    fields: bytes = b""  # header block
    flags: Sequence[str] = ()


class MailLog:
    """The settings of one user, and where the lines go."""

    def __init__(self, plugin: Mapping[str, str], log: Callable[[str], None]) -> None:
        events = plugin.get("mail_log_events") or DEFAULT_EVENTS
        fields = plugin.get("mail_log_fields") or DEFAULT_FIELDS
        self.events = _known(events, EVENTS, "event", "mail_log_events")
        wanted = _known(fields, FIELDS, "field", "mail_log_fields")
        self._fields = [name for name in FIELDS if name in wanted]
        self.columns = tuple(dict.fromkeys(_COLUMNS[name] for name in self._fields if name in _COLUMNS))
        self.wants_headers = Column.FIELDS in self.columns
        self._log = log

    def tell(self, event: str, box: str, facts: Facts, *, source: str = "") -> None:
        """One line about one message; `source`: of a copy."""
        if event not in self.events:
            return
        what = f"copy from {_name(source)}" if source else event
        told = {
            "box": lambda: f"box={_name(box)}",
            "uid": lambda: f"uid={facts.uid}",
            "size": lambda: f"size={facts.size}",
            "vsize": lambda: f"vsize={facts.vsize}",
            "flags": lambda: f"flags=({' '.join(facts.flags)})",
        }
        values = _headers(facts.fields) if self.wants_headers else {}
        words = [
            told[name]() if name in told else f"{name}={values[name]}"
            for name in ORDER
            if name in self._fields
        ]
        self._log(f"{what}: {', '.join(words)}" if words else what)

    def tell_mailbox(self, event: str, text: str) -> None:
        """One line about a mailbox."""
        if event in self.events:
            self._log(text)


ORDER: Final = ("box", "uid", "msgid", "size", "vsize", "from", "subject", "flags")


def names_of(flags: bytes) -> list[str]:
    """Flags as a FETCH response has them, one by one."""
    return flags.decode("utf-8", "replace").split()


def _known(text: str, names: Sequence[str], kind: str, setting: str) -> frozenset[str]:
    words = text.split()
    for word in words:
        if word not in names:
            raise InternalError(f"Unknown {kind} in {setting}: '{word}'")
    return frozenset(words)


def _name(box: str) -> str:
    return shown(box.encode(), most=MAX_BOX)


def _headers(block: bytes) -> dict[str, str]:
    found = {name.lower(): value for name, value in reversed(list(header.fields(block)))}
    return {
        field: shown(found.get(name, b"").replace(b"\n", b"").strip(), decode=field != "msgid")
        for field, name in _HEADERS.items()
    }
