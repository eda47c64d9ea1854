"""quota_rule, quota_warning and quota_grace: limits as they are written, and what they come to.

    *:storage=1G:messages=1000      the limit of everything; `?:` the same where the backend knows none better
    Trash:storage=+100M             so much more in this mailbox (wildcards * and ? are allowed)
    Spam:storage=+20%               relative to the limit of everything
    Public:ignore                   not counted

storage is in kilobytes, bytes in bytes; b k M G T are units, of messages too (1k are 1024).
"""

import re
from dataclasses import dataclass, field
from typing import Final

_NUMBER: Final = re.compile(r"(-?[0-9]{1,18})(.*)", re.DOTALL)
UNITS: Final = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
DEFAULT_GRACE: Final = "10%"
MAX_PERCENT: Final = 0xFFFFFFFF
MIN_PERCENT: Final = -100


class BadRule(Exception):
    """A rule that makes no sense, in Dovecot's words."""


@dataclass(frozen=True, slots=True)
class Limits:
    """0: no limit."""

    octets: int = 0
    messages: int = 0

    @property
    def unlimited(self) -> bool:
        """There is nothing to enforce."""
        return not self.octets and not self.messages


@dataclass(frozen=True, slots=True)
class Value:
    """One limit: a number, or a percentage of the limit of everything."""

    number: int = 0
    percent: int = 0

    def of(self, whole: int) -> int:
        """The number that it comes to."""
        return _quotient(whole * self.percent, 100) if self.percent else self.number


NOTHING: Final = Value()


@dataclass(slots=True)
class Rule:
    """What one mailbox may have more, or less, than the others."""

    mask: str
    octets: Value = NOTHING
    messages: Value = NOTHING
    ignore: bool = False

    def matches(self, name: str) -> bool:
        """The rule is for the mailbox of that name."""
        return wildcard(self.mask).fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Warning:
    """A command for when usage passes a limit, upwards or (`below`) downwards."""

    octets: Value
    messages: Value
    below: bool
    command: str

    def reached(self, before: Limits, now: Limits, default: Limits) -> bool:
        """The limit lies between what was used before and what is used now."""
        if self.below:
            before, now = now, before
        pairs = (
            (before.octets, now.octets, self.octets.of(default.octets)),
            (before.messages, now.messages, self.messages.of(default.messages)),
        )
        return any(low < limit <= high for low, high, limit in pairs)


@dataclass(slots=True)
class Rules:
    """All rules of one quota root."""

    default: Limits = Limits()
    forced: bool = False  # the default is `*`: it goes before what the backend keeps
    of_mailboxes: list[Rule] = field(default_factory=list)
    warnings: list[Warning] = field(default_factory=list)
    grace: Value = NOTHING

    def find(self, name: str) -> Rule | None:
        """The first rule for a mailbox."""
        return next((rule for rule in self.of_mailboxes if rule.matches(name)), None)

    def ignores(self, name: str) -> bool:
        """The mailbox does not count."""
        rule = self.find(name)
        return rule is not None and rule.ignore

    def limits(self, name: str, default: Limits) -> Limits:
        """What may be used in all when something comes into this mailbox. `default`: of the backend."""
        rule = None if default.unlimited else self.find(name)
        if rule is None:
            return default
        if rule.ignore:
            return Limits()
        return Limits(
            max(0, default.octets + rule.octets.of(default.octets)),
            max(0, default.messages + rule.messages.of(default.messages)),
        )

    def add(self, text: str, backend_limits: "BackendLimits") -> None:
        """One quota_rule. `backend_limits` reads what stands after `backend=`. Raises BadRule."""
        mask, colon, rest = text.partition(":")
        if not colon:
            raise BadRule("Invalid rule")
        if mask in ("*", "?"):
            self.forced |= mask == "*"
            self._add_default(rest, backend_limits)
            return
        rule = next((one for one in self.of_mailboxes if one.mask == mask), None)
        if rule is None:
            rule = Rule("INBOX" if mask.upper() == "INBOX" else mask)
            self.of_mailboxes.append(rule)
        if rest == "ignore":
            rule.ignore = True
        elif rest.startswith("backend="):
            limits = backend_limits(rest[8:])
            rule.octets, rule.messages = Value(limits.octets), Value(limits.messages)
        else:
            found = _parse_limits(rest, more=True)
            rule.octets = found.get("octets", rule.octets)
            rule.messages = found.get("messages", rule.messages)

    def _add_default(self, rest: str, backend_limits: "BackendLimits") -> None:
        if rest == "ignore":
            return  # has no meaning, as in Dovecot
        if rest.startswith("backend="):
            self.default = backend_limits(rest[8:])
            return
        found = _parse_limits(rest, more=False)
        if any(value.percent for value in found.values()):
            raise BadRule(f"Invalid rule limit value '{rest}': Default rule can't be a percentage")
        octets, messages = found.get("octets"), found.get("messages")
        self.default = Limits(
            octets.number if octets is not None else self.default.octets,
            messages.number if messages is not None else self.default.messages,
        )

    def add_warning(self, text: str) -> None:
        """One quota_warning. Raises BadRule."""
        limits, _, command = text.partition(" ")
        if not command:
            raise BadRule("No command specified")
        below = limits.startswith("-")
        found = _parse_limits(limits[1:] if limits[:1] in ("+", "-") else limits, more=False)
        self.warnings.append(
            Warning(found.get("octets", NOTHING), found.get("messages", NOTHING), below, command)
        )

    def set_grace(self, text: str) -> None:
        """quota_grace. Raises BadRule."""
        try:
            self.grace = _parse_value(text.replace(" ", ""), 1)
        except BadRule as exc:
            raise BadRule(f"Invalid value '{text}': {exc}") from exc


class BackendLimits:
    """Reads `backend=` rules; this one, for backends without any."""

    def __call__(self, text: str) -> Limits:
        """Raises BadRule."""
        del text
        raise BadRule("backend rule not supported")


def _parse_limits(text: str, *, more: bool) -> dict[str, Value]:
    """`storage=100M:messages=5`. `more`: a `+` may stand before the number."""
    found: dict[str, Value] = {}
    for part in text.split(":"):
        key, _, value = part.partition("=")
        if value.startswith("+"):
            if not more:
                raise BadRule("Rule limit cannot have '+'")
            value = value[1:]
        if key not in ("storage", "bytes", "messages"):
            raise BadRule(f"Unknown rule limit name: {key}")
        if _NUMBER.fullmatch(value) is None:
            raise BadRule(f"Invalid {key} limit: {value}")
        try:
            parsed = _parse_value(value, 1024 if key == "storage" else 1)
        except BadRule as exc:
            raise BadRule(f"Invalid rule limit value '{part}': {exc}") from exc
        if not more and parsed.number < 0:
            raise BadRule(f"{'Count' if key == 'messages' else 'Bytes'} limit can't be negative")
        found["messages" if key == "messages" else "octets"] = parsed
    return found


def _parse_value(text: str, unit: int) -> Value:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise BadRule(f"Invalid number: {text}")
    number, suffix = int(match[1]), match[2]
    if suffix.startswith("%"):
        if not MIN_PERCENT < number < MAX_PERCENT:
            raise BadRule("Invalid percentage")
        return Value(percent=number)
    if suffix:
        if suffix[0].upper() not in UNITS:
            raise BadRule(f"Unknown unit: {suffix}")
        unit = UNITS[suffix[0].upper()]
    return Value(number * unit)


def _quotient(number: int, by: int) -> int:
    """Division towards zero, as C does it."""
    return number // by if number >= 0 else -(-number // by)


def wildcard(mask: str) -> "re.Pattern[str]":
    """* is any text, ? any character."""
    pattern = "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in mask)
    return re.compile(pattern, re.DOTALL)
