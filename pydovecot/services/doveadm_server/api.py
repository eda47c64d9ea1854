"""The commands of the HTTP API: from JSON to parameters, from rows to JSON.

A parameter that is a file has the file's content.
"""

import io
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from pydovecot.admin import table
from pydovecot.admin.arguments import Arguments, BadArguments, Kind, Param, Value, convert
from pydovecot.admin.formatters import Json
from pydovecot.services.doveadm_server import commands

_TYPES: Final = {
    Kind.FLAG: "boolean", Kind.TEXT: "string", Kind.NUMBER: "integer", Kind.IP: "string",
    Kind.MANY: "array", Kind.FILE: "string",
}  # fmt: skip
MAX_COMMANDS: Final = 10_000


class BadRequest(Exception):
    """The request is no list of commands; the text is shown."""


class _Invalid(Exception):
    """One command's parameters are wrong."""


def camel(name: str) -> str:
    """`mailbox list`, `user-mask`: mailboxList, userMask."""
    return re.sub(r"[ -](\w)", lambda found: found[1].upper(), name)


@lru_cache(maxsize=1)
def _by_name() -> dict[str, table.Command]:
    found = (one for one in table.commands() if not one.cli_only and not one.raw)
    return {camel(one.name): one for one in found}


def listing() -> bytes:
    """The commands with their parameters."""
    rows = []
    for name, command in _by_name().items():
        params = ",\n".join(
            f'\t\t{{"name":"{camel(one.name)}","type":"{_TYPES[one.kind]}"}}' for one in command.params
        )
        inner = f"\n{params}\n\t" if params else ""
        rows.append(f'\t{{"command":"{name}", "parameters":[{inner}]}}')
    return ("[\n" + ",\n".join(rows) + "\n]").encode()


def run_all(host: commands.Host, body: bytes, show: Callable[[str], None]) -> bytes:
    """Run the commands of a request, one after the other. Raises BadRequest before anything is run."""
    answers = []
    for name, params, tag in _parse(body):
        show(name)
        answers.append(_run(host, name, params) + json.dumps(tag, ensure_ascii=False).encode() + b"]")
        show("")
    return b"[" + b",".join(answers) + b"]"


class _Object(list[tuple[str, Any]]):
    """A JSON object with its keys in order and doubles kept."""


def _parse(body: bytes) -> list[tuple[str, _Object, str]]:
    try:
        request = json.loads(body, object_pairs_hook=_Object)
        json.dumps(request, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as exc:
        raise BadRequest(f"JSON parse error: {exc}") from exc
    if not isinstance(request, list) or isinstance(request, _Object):
        raise BadRequest("Request must be a JSON array")
    if len(request) > MAX_COMMANDS:
        raise BadRequest("Too many commands")
    return [_command(one) for one in request]


def _command(one: object) -> tuple[str, _Object, str]:
    if not isinstance(one, list) or isinstance(one, _Object):
        raise BadRequest("Command must be a JSON array")
    if not one or not isinstance(one[0], str):
        raise BadRequest("Command name must be a string")
    if len(one) < 2 or not isinstance(one[1], _Object):
        raise BadRequest("Parameters must be contained in a JSON object")
    if len(one) < 3 or not isinstance(one[2], str):
        raise BadRequest("Command ID must be a string")
    if len(one) > 3:
        raise BadRequest("Unexpected JSON element at end of command")
    command = _by_name().get(one[0])
    if command is not None:
        _check_values(command, one[1])
    return one[0], one[1], one[2]


def _check_values(command: table.Command, params: _Object) -> None:
    """What is wrong enough to refuse the whole request."""
    known = {camel(param.name): param for param in command.params}
    seen: set[str] = set()
    for name, value in params:
        param = known.get(name)
        if param is None:
            continue
        if name in seen:
            raise BadRequest(f"Parameter `{param.name}' is duplicated")
        seen.add(name)
        if param.kind is not Kind.MANY:
            continue
        if isinstance(value, list) and not isinstance(value, _Object):
            if not all(isinstance(item, str) for item in value):
                raise BadRequest("Command parameter array can only contain string values")
        elif not isinstance(value, str):
            raise BadRequest(f"Parameter `{param.name}' must be string or array")


def _run(host: commands.Host, name: str, params: _Object) -> bytes:
    """The answer up to the tag."""
    command = _by_name().get(name)
    if command is None:
        return _error("unknownMethod", 0)
    if not host.may(command.name):
        return _error("unAuthorized", 0)
    try:
        arguments = _arguments(command, params)
        files = commands.files_of(command, arguments)
        if len(files) > 1:  # there is one input
            raise _Invalid
    except _Invalid:
        return _error("invalidRequest", 0)
    who = f" as '{arguments.text('user')}'" if isinstance(arguments.values.get("user"), str) else ""
    host.event.info(f"Executing command '{command.name}'{who}")
    parts: list[bytes] = []
    made: list[Json] = []

    def printer(_style: str) -> Json:
        made.append(Json(parts.append, parts.append))
        return made[-1]

    status = commands.run(
        host, command, arguments, None, printer=printer, write=parts.append,
        tell=lambda _level, _text: None, stdin=io.BytesIO("".join(files).encode()),
    )  # fmt: skip
    if status:
        return _error("exitCode", status)
    if not parts:
        parts.append(b"[]")
    return b'["doveadmResponse",' + b"".join(parts) + b","


def _error(kind: str, status: int) -> bytes:
    return b'["error",{"type":"%s", "exitCode":%d},' % (kind.encode(), status)


def _arguments(command: table.Command, params: _Object) -> Arguments:
    known = {camel(param.name): param for param in command.params}
    values: dict[str, Value] = {}
    for name, value in params:
        param = known.get(name)
        if param is None:
            raise _Invalid
        found = _value(param, value)
        if found is not None:
            values[param.name] = found
    return Arguments(values)


def _value(param: Param, value: object) -> Value | None:
    """One parameter's value; None is "not given" (false)."""
    match param.kind, value:
        case Kind.FLAG, bool():
            return value or None
        case Kind.FLAG, str():
            return value == "true" or None
        case Kind.MANY, list():
            return [str(item) for item in value]
        case Kind.MANY, str():
            return [value]
        case (Kind.NUMBER, int() | str()) | (Kind.IP, str()):
            try:
                return convert(param, str(value))
            except BadArguments as exc:
                raise _Invalid from exc
        case (Kind.TEXT | Kind.FILE), (str() | int() | float()):
            return str(value)
    raise _Invalid
