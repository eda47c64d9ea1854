"""What a command takes: options and words, by name. Read from a command line here, from JSON by the server.

As Dovecot's getopt: short options, long ones by the parameter's name, all before the first word.
"""

import getopt
import ipaddress
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

Value = str | bool | int | list[str]
MAX_NUMBER: Final = 2**63 - 1


class Kind(Enum):
    """Of which type a parameter is."""

    FLAG = "bool"
    TEXT = "string"
    NUMBER = "integer"
    IP = "IP address"
    MANY = "array"  # words, or an option that may come again
    FILE = "file"  # a path; "-" is standard input


class Param(NamedTuple):
    """One parameter. `word`: taken from the words that follow the options."""

    short: str
    name: str
    kind: Kind
    word: bool = False


class BadArguments(Exception):
    """The text says what is wrong; empty when only the usage helps."""


def flag(short: str, name: str) -> Param:
    return Param(short, name, Kind.FLAG)


def text(short: str, name: str) -> Param:
    return Param(short, name, Kind.TEXT)


def number(short: str, name: str) -> Param:
    return Param(short, name, Kind.NUMBER)


def many(short: str, name: str) -> Param:
    return Param(short, name, Kind.MANY)


def file(short: str, name: str) -> Param:
    return Param(short, name, Kind.FILE)


def word(name: str, kind: Kind = Kind.TEXT) -> Param:
    """The next word."""
    return Param("", name, kind, word=True)


def words(name: str) -> Param:
    """All words that are left."""
    return Param("", name, Kind.MANY, word=True)


class Arguments:
    """Parsed parameters of one command, by name. `raw`: the words of a command that parses them itself."""

    def __init__(self, values: Mapping[str, Value] | None = None, raw: Sequence[str] = ()) -> None:
        self.values: dict[str, Value] = dict(values or {})
        self.raw = list(raw)

    def given(self, name: str) -> bool:
        return name in self.values

    def flag(self, name: str) -> bool:
        return self.values.get(name) is True

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name, default)
        return value if isinstance(value, str) else str(value)

    def number(self, name: str, default: int = 0) -> int:
        value = self.values.get(name, default)
        return value if isinstance(value, int) else default

    def many(self, name: str) -> list[str]:
        value = self.values.get(name)
        if value is None:
            return []
        return value if isinstance(value, list) else [str(value)]


def parse(params: Sequence[Param], argv: Sequence[str], name: str) -> Arguments:
    """Of a command line without the command's name. Raises BadArguments with the line that getopt writes."""
    values: dict[str, Value] = {}
    by_option: dict[str, Param] = {}
    short = ""
    for param in params:
        if not param.word:
            by_option["--" + param.name] = param
            if param.short:
                by_option["-" + param.short] = param
                short += param.short + ("" if param.kind is Kind.FLAG else ":")
    long = [one.name + ("" if one.kind is Kind.FLAG else "=") for one in params if not one.word]
    try:
        pairs, rest = getopt.getopt(list(argv), short, long)
    except getopt.GetoptError as exc:
        raise BadArguments(f"{name}: {getopt_text(exc)}") from None
    for option, value in pairs:
        param = by_option[option]
        if param.kind is Kind.NUMBER and not _is_number(value):
            continue  # as Dovecot takes it: not given
        values[param.name] = convert(param, value, values.get(param.name))
    _take_words([one for one in params if one.word], rest, values)
    return Arguments(values)


def getopt_text(exc: getopt.GetoptError) -> str:
    """As glibc says it."""
    option = exc.opt
    if exc.msg.endswith("requires argument"):
        if len(option) == 1:
            return f"option requires an argument -- '{option}'"
        return f"option '--{option}' requires an argument"
    if "must not have an argument" in exc.msg:
        return f"option '--{option}' doesn't allow an argument"
    if "not a unique prefix" in exc.msg:
        return f"option '--{option}' is ambiguous"
    return f"invalid option -- '{option}'" if len(option) == 1 else f"unrecognized option '--{option}'"


def convert(param: Param, value: str, before: Value | None = None) -> Value:
    """The text of one parameter as its type. Raises BadArguments."""
    match param.kind:
        case Kind.FLAG:
            return True
        case Kind.MANY:
            return [*before, value] if isinstance(before, list) else [value]
        case Kind.NUMBER:
            if not _is_number(value):
                raise BadArguments(f"Error: Invalid parameter: {param.name} must be a positive number")
            return int(value)
        case Kind.IP:
            try:
                ipaddress.ip_address(value)
            except ValueError:
                raise BadArguments(f"Error: Invalid parameter: {param.name} is not an IP address") from None
    return value


def _is_number(value: str) -> bool:
    digits = value.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) <= MAX_NUMBER


def _take_words(params: Sequence[Param], rest: Sequence[str], values: dict[str, Value]) -> None:
    at = 0
    for param in params:
        if at == len(rest):
            return
        if param.kind is Kind.MANY:
            values[param.name] = list(rest[at:])
            return
        values[param.name] = convert(param, rest[at])
        at += 1
    if at < len(rest):
        raise BadArguments("Error: Extraneous arguments found: " + " ".join(rest[at:]))
