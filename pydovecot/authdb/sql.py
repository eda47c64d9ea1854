"""Databases of passdb sql and userdb sql: their configuration file, their connection, their queries.

SQLite only. The file is Dovecot's (dovecot-sql.conf.ext); passdb and userdb that name the same file share a
connection. It is opened by the process that asks first, so that none is carried across a fork.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

BUSY_MSECS: Final = 1000  # somebody else may write to the database that long
MAX_FILE_BYTES: Final = 1 << 20
MAX_FIELDS: Final = 1000
_SETTING: Final = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.*)", re.DOTALL)

Row = list[tuple[str, str | None]]


class BadSqlFile(Exception):
    """The configuration file cannot be used; the text names file, line and setting."""


class SqlFailed(Exception):
    """A query went wrong; the text is SQLite's."""


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """What stands in the file."""

    driver: str = ""
    connect: str = ""
    password_query: str = (
        "SELECT username, domain, password FROM users WHERE username = '%n' AND domain = '%d'"
    )
    user_query: str = "SELECT home, uid, gid FROM users WHERE username = '%n' AND domain = '%d'"
    update_query: str = ""
    iterate_query: str = "SELECT username, domain FROM users"
    default_pass_scheme: str = "MD5"
    userdb_warning_disable: str = "no"


def read_settings(path: str) -> SqlSettings:
    """The settings of a file. Raises BadSqlFile."""
    try:
        with open(path, "rb") as stream:
            text = stream.read(MAX_FILE_BYTES).decode("utf-8", "surrogateescape")
    except OSError as exc:
        raise BadSqlFile(f"open({path}) failed: {exc.strerror}") from exc
    values: dict[str, str] = {}
    for number, line in _lines(text):
        found = _SETTING.fullmatch(line)
        if found is None:
            raise BadSqlFile(f"Error in configuration file {path} line {number}: Expecting '='")
        name, value = found[1], _unquoted(found[2].strip())
        if name not in SqlSettings.__dataclass_fields__:
            raise BadSqlFile(f"Error in configuration file {path} line {number}: Unknown setting: {name}")
        values[name] = value
    settings = SqlSettings(**values)
    if not settings.driver:
        raise BadSqlFile(f"sql: driver not set in configuration file {path}")
    if settings.driver != "sqlite":
        raise BadSqlFile(f"sql: {path}: driver {settings.driver} is not implemented (sqlite is)")
    if not settings.connect:
        raise BadSqlFile(f"sql: connect string not set in configuration file {path}")
    return settings


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Settings with the number of their last line; a backslash at the end joins the next line."""
    joined = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = _without_comment(raw.strip()).rstrip()
        if line.endswith("\\"):
            joined += line[:-1].rstrip() + " "
            continue
        line = (joined + line).strip()
        joined = ""
        if line:
            yield number, line
    if joined.strip():
        yield len(text.splitlines()), joined.strip()


_COMMENT: Final = re.compile(r"""(?:[^#'"]|'(?:\\.|[^'\\])*(?:'|\Z)|"(?:\\.|[^"\\])*(?:"|\Z))*""")


def _without_comment(line: str) -> str:
    """Up to a # that stands in no quotes."""
    found = _COMMENT.match(line)
    return found[0] if found is not None and line[found.end() : found.end() + 1] == "#" else line


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] in "'\"" and value[0] == value[-1]:
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def escape(value: str) -> str:
    """A value between single quotes of a query."""
    return value.replace("'", "''")


def is_text(value: str) -> bool:
    """Whether SQLite can take it: valid UTF-8 without NUL. Nobody else has a row."""
    if "\0" in value:
        return False
    return not any("\ud800" <= char <= "\udfff" for char in value)


@dataclass(slots=True)
class SqlDatabase:
    """One configuration file and its connection."""

    settings: SqlSettings
    _connection: apsw.Connection | None = None

    def query(self, text: str, *, limit: int) -> list[Row]:
        """The first `limit` rows, values as text. Raises SqlFailed."""
        rows: list[Row] = []
        for row in self.stream(text):
            rows.append(row)
            if len(rows) >= limit:
                break
        return rows

    def stream(self, text: str) -> Iterator[Row]:
        """All rows. Raises SqlFailed."""
        try:
            cursor = self._connect().cursor()
            try:
                for values in cursor.execute(text):
                    names = [name for name, _ in cursor.get_description()][:MAX_FIELDS]
                    yield [(name, _text(value)) for name, value in zip(names, values, strict=False)]
            finally:
                cursor.close()
        except apsw.Error as exc:
            self.close()
            raise SqlFailed(str(exc)) from exc

    def _connect(self) -> apsw.Connection:
        if self._connection is None:
            # Without this, a file that is not there would be made, empty.
            self._connection = apsw.Connection(self.settings.connect, flags=apsw.SQLITE_OPEN_READONLY)
            self._connection.setbusytimeout(BUSY_MSECS)
        return self._connection

    def close(self) -> None:
        """The next query connects anew: the file may be another one by then."""
        if self._connection is not None:
            self._connection.close(True)
            self._connection = None


def _text(value: object) -> str | None:
    if value is None:
        return None
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True, slots=True)
class SqlDatabases:
    """The databases of one process by the path of their file."""

    _open: dict[str, SqlDatabase] = field(default_factory=dict)

    def get(self, path: str, refuse: Callable[[str], Exception]) -> SqlDatabase:
        """The database of a file; raises what `refuse` makes of the reason why there is none."""
        if path not in self._open:
            if not path:
                raise refuse("sql: Configuration file path not given")
            try:
                self._open[path] = SqlDatabase(read_settings(str(Path(path))))
            except BadSqlFile as exc:
                raise refuse(str(exc)) from exc
        return self._open[path]
