"""An event: where log lines come from. Text is for people, fields are for machines."""

from collections.abc import Callable
from enum import IntEnum

from pydovecot.event.oneline import one_line


class Level(IntEnum):
    """Log levels, in Dovecot's order (enum log_type)."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    FATAL = 4
    PANIC = 5


Sink = Callable[[Level, str, dict[str, object]], None]


class Event:
    """A context for log lines: prefixes add up, fields are inherited."""

    __slots__ = ("_debug", "_sink", "fields", "prefix")

    def __init__(
        self, sink: Sink, prefix: str = "", fields: dict[str, object] | None = None, *, debug: bool = False
    ) -> None:
        self._sink = sink
        self._debug = debug
        self.prefix = prefix
        self.fields: dict[str, object] = fields or {}

    def child(self, prefix: str = "", *, debug: bool | None = None, **fields: object) -> "Event":
        """An event below this one: `prefix` goes after ours, `fields` beside ours; `debug` None: as ours."""
        wanted = self._debug if debug is None else debug
        return Event(self._sink, self.prefix + prefix, {**self.fields, **fields}, debug=wanted)

    def debug(self, text: str, **fields: object) -> None:
        """Log only when debugging is on."""
        if self._debug:
            self._sink(Level.DEBUG, self.prefix + text, {**self.fields, **fields})

    def info(self, text: str, **fields: object) -> None:
        self._sink(Level.INFO, self.prefix + text, {**self.fields, **fields})

    def warning(self, text: str, **fields: object) -> None:
        self._sink(Level.WARNING, self.prefix + text, {**self.fields, **fields})

    def error(self, text: str, **fields: object) -> None:
        self._sink(Level.ERROR, self.prefix + text, {**self.fields, **fields})

    def exception(self, text: str, exc: BaseException, **fields: object) -> None:
        """Log an unexpected exception as one error line with its traceback."""
        self._sink(Level.ERROR, f"{self.prefix}{text}: {one_line(exc)}", {**self.fields, **fields})

    def fatal(self, text: str, **fields: object) -> None:
        """Log as fatal; the caller ends the process."""
        self._sink(Level.FATAL, self.prefix + text, {**self.fields, **fields})
