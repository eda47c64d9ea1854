"""The quota of one user at work: what is used, what may come, what follows when something came or went."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from pydovecot.model.errors import Code, InternalError
from pydovecot.plugins.quota.roots import QuotaSettings, RootSettings
from pydovecot.plugins.quota.rules import Limits, Warning
from pydovecot.storage.backend import Parts
from pydovecot.storage.hooks import Left, NotTaken
from pydovecot.storage.namespaces import NamespaceEntry

NO_CEILING: Final = 1 << 64
TOO_LARGE: Final = "Mail size is larger than the maximum size allowed by server configuration"
STORAGE: Final = "STORAGE"
MESSAGE: Final = "MESSAGE"


class Reason(Enum):
    """Why a message is not taken."""

    OVER = "over"  # with what is there already
    LIMIT = "limit"  # it alone is more than the whole limit
    SIZE = "size"  # quota_max_mail_size


class QuotaExceeded(NotTaken):
    """A message that is not taken."""

    def __init__(self, reason: Reason, text: str) -> None:
        code = Code.LIMIT if reason is Reason.SIZE else Code.OVERQUOTA
        super().__init__(code, text, never=reason is not Reason.OVER)
        self.reason = reason


class Usage(Protocol):
    """Where a backend gets its numbers from. They may be counted at each question, or kept."""

    @property
    def resources(self) -> tuple[str, ...]:
        """What it can count, in the order of IMAP's answer."""
        ...

    def used(self) -> Limits:
        """What is used now. Raises InternalError when that cannot be found out."""
        ...

    def limits(self) -> Limits | None:
        """Limits that the backend keeps itself; None: it keeps none. Asked unless the rules force theirs."""
        ...

    def changed(self, octets: int, messages: int) -> None:
        """So much has come, or (negative) gone; it is on the disk already. 0: something was moved."""
        ...


@dataclass(slots=True)
class Root:
    """One quota root."""

    settings: RootSettings
    usage: Usage
    flag_checked: bool = False

    def counts(self, entry: NamespaceEntry) -> bool:
        """Mail of this namespace is in this root."""
        return self.settings.counts(entry)

    def default(self) -> Limits:
        """The limit of everything."""
        rules = self.settings.rules
        kept = None if rules.forced else self.usage.limits()
        return rules.default if kept is None else kept

    def limits(self, name: str) -> Limits:
        """The limit when something comes into a mailbox."""
        return self.settings.rules.limits(name, self.default())

    def grace(self) -> int:
        """Octets that the last message may go beyond the limit when it is delivered."""
        return self.settings.rules.grace.of(self.default().octets)

    def resources(self) -> Iterator[tuple[str, int, int]]:
        """Name, usage and limit of what is limited; octets in kilobytes. RFC 2087 5.1."""
        used = self.usage.used()
        limits = self.limits("")
        for name in self.usage.resources:
            if name == STORAGE and limits.octets:
                yield name, -(-used.octets // 1024), -(-limits.octets // 1024)
            elif name == MESSAGE and limits.messages:
                yield name, used.messages, limits.messages


@dataclass(slots=True)
class _Room:
    """How much may still come into a mailbox: the narrowest of its roots.

    `octets` is for the last message, which may use the grace; the next one has what is left without it.
    """

    octets: int = NO_CEILING
    octets_after: int = NO_CEILING
    messages: int = NO_CEILING
    over: int = 0  # octets beyond the limit already
    limit: int = NO_CEILING  # the whole limit

    def narrow(self, used: Limits, limits: Limits, grace: int) -> None:
        """One root more."""
        if limits.octets:
            self.limit = min(self.limit, limits.octets)
            if limits.octets <= used.octets:
                self.octets = self.octets_after = 0
                self.over = max(self.over, used.octets - limits.octets)
            else:
                free = limits.octets - used.octets
                self.octets = min(self.octets, free + grace)
                self.octets_after = min(self.octets_after, free)
        if limits.messages:
            self.messages = min(self.messages, max(0, limits.messages - used.messages))

    def takes(self, size: int, so_far: int, messages: int) -> bool:
        """A message of this size after others of this step."""
        if messages >= self.messages:
            return False
        if size == 0:
            return not self.over
        return so_far + size <= self.octets


@dataclass(frozen=True, slots=True)
class Change:
    """What has come into a mailbox or, negative, gone from it."""

    entry: NamespaceEntry
    name: str
    octets: int
    messages: int


class Quota:
    """All roots. `alert` runs the command of a warning."""

    def __init__(
        self,
        settings: QuotaSettings,
        namespaces: Mapping[str, NamespaceEntry],
        find: Callable[[str], tuple[NamespaceEntry, Parts]],
        *,
        delivers: bool,
        log_error: Callable[[str], None],
        alert: Callable[[str], None],
    ) -> None:
        self.settings, self.roots = settings, list[Root]()
        self.delivers = delivers  # LMTP, LDA: the last message may use the grace
        self.log_error, self._alert = log_error, alert
        self._namespaces = namespaces  # by prefix
        self.find = find  # the namespace of a mailbox name; raises UserError

    def visible(self, entry: NamespaceEntry) -> list[Root]:
        """The roots that mail of a namespace is in."""
        return [root for root in self.roots if root.counts(entry)]

    def root(self, name: str) -> Root | None:
        """The root of that name."""
        return next((root for root in self.roots if root.settings.name == name), None)

    def name_of(self, entry: NamespaceEntry, parts: Parts) -> str:
        """The mailbox's name in rules: in the namespace that an alias stands for."""
        alias = entry.settings.alias_for
        target = self._namespaces.get(alias, entry) if alias else entry
        return target.name(parts)

    def arriving(self, entry: NamespaceEntry, parts: Parts) -> "Arriving":
        """Messages want to come in."""
        return Arriving(self, entry, self.name_of(entry, parts))

    def changed(self, *changes: "Change") -> None:
        """What has come into mailboxes and gone from them in one step: each root is told the sum."""
        told: list[tuple[Root, int, int]] = []
        for root in self.roots:
            rules = root.settings.rules
            mine = [one for one in changes if root.counts(one.entry) and not rules.ignores(one.name)]
            octets, messages = sum(one.octets for one in mine), sum(one.messages for one in mine)
            if mine:
                told.append((root, octets, messages))
        for root, octets, messages in told:
            try:
                root.usage.changed(octets, messages)
            except (InternalError, OSError) as exc:
                self.log_error(f"quota: Failed to update quota for {changes[0].name}: {exc}")
        for root, octets, messages in told:
            if root.settings.rules.warnings and (octets or messages):
                self._warn(root, octets, messages)

    def check_flags(self, *, lazy: bool) -> None:
        """quota_over_script, once for each root. `lazy`: quota is being asked about."""
        for root in self.roots:
            over = root.settings.over
            if over is None or root.flag_checked or (over.lazy and not lazy):
                continue
            root.flag_checked = True
            try:
                is_over = any(used >= limit for _, used, limit in root.resources())
            except InternalError as exc:
                self.log_error(f"quota: Failed to get quota resource: {exc}")
                continue
            if is_over != over.says_over:
                self._alert(f"{over.script} {over.flag}")

    def _warn(self, root: Root, octets: int, messages: int) -> None:
        """The command of the first warning whose limit was passed."""
        try:
            now, default = root.usage.used(), root.limits("")
        except InternalError as exc:
            self.log_error(f"quota: Failed to get quota resource: {exc}")
            return
        before = Limits(max(0, now.octets - octets), max(0, now.messages - messages))
        warning = first_reached(root.settings.rules.warnings, before, now, default)
        if warning is not None:
            self._alert(warning.command)


def first_reached(warnings: list[Warning], before: Limits, now: Limits, default: Limits) -> Warning | None:
    """They are in the order of the configuration: the highest limit should come first."""
    return next((one for one in warnings if one.reached(before, now, default)), None)


class Arriving:
    """See storage.hooks.Arrival."""

    def __init__(self, quota: Quota, entry: NamespaceEntry, name: str) -> None:
        self._quota, self._entry, self._name = quota, entry, name
        self._roots = quota.visible(entry)
        self._room: _Room | None = None
        self._octets = self._messages = 0

    def expect(self, octets: int) -> None:
        """Before the first byte comes."""
        self._test(octets)

    def add(self, octets: int, crlf_octets: int, *, moved: bool = False) -> None:
        """A message that was moved is no more than was there before: it is always taken, as in Dovecot."""
        size = crlf_octets if self._quota.settings.crlf_sizes else octets
        if not moved:
            room = self._test(size)
            room.octets = room.octets_after  # the grace is for one message
        self._octets += size
        self._messages += 1

    def done(self, left: Left | None = None) -> None:
        """It is there."""
        changes = [Change(self._entry, self._name, self._octets, self._messages)] if self._messages else []
        if left is not None and isinstance(left.mailbox, Box):
            changes.append(left.mailbox.change(left.messages, left.octets, left.crlf_octets))
        self._quota.changed(*changes)
        self._octets = self._messages = 0
        self._room = None

    def _test(self, size: int) -> _Room:
        settings = self._quota.settings
        if settings.max_mail_size and size > settings.max_mail_size:
            raise QuotaExceeded(Reason.SIZE, TOO_LARGE)
        if self._room is None:
            self._room = self._measure()
        if not self._room.takes(size, self._octets, self._messages):
            reason = Reason.LIMIT if size > self._room.limit else Reason.OVER
            raise QuotaExceeded(reason, settings.exceeded)
        return self._room

    def _measure(self) -> _Room:
        """Usage that cannot be found out keeps no mail away: it is logged."""
        room = _Room()
        self._quota.check_flags(lazy=True)
        for root in self._roots:
            if not root.settings.enforcing:
                continue
            try:
                limits = root.limits(self._name)
                if not limits.unlimited:
                    grace = root.grace() if self._quota.delivers else 0
                    room.narrow(root.usage.used(), limits, grace)
            except InternalError as exc:
                self._quota.log_error(
                    f"quota: Failed to check if user is under quota: {exc} - saving mail anyway"
                )
        return room


class EntryHook:
    """storage.hooks.BackendHook of one namespace."""

    def __init__(self, quota: Quota, entry: NamespaceEntry) -> None:
        self._quota, self._entry = quota, entry

    def mailbox(self, parts: Parts) -> "Box":
        """One mailbox."""
        return Box(self._quota, self._entry, parts)


class Box:
    """storage.hooks.MailboxHook."""

    def __init__(self, quota: Quota, entry: NamespaceEntry, parts: Parts) -> None:
        self._quota, self._entry, self._parts = quota, entry, parts

    def arriving(self) -> Arriving:
        """Messages want to come in."""
        return self._quota.arriving(self._entry, self._parts)

    def left(self, messages: int, octets: int, crlf_octets: int) -> None:
        """Messages are gone."""
        self._quota.changed(self.change(messages, octets, crlf_octets))

    def change(self, messages: int, octets: int, crlf_octets: int) -> Change:
        """So much less."""
        size = crlf_octets if self._quota.settings.crlf_sizes else octets
        return Change(self._entry, self._quota.name_of(self._entry, self._parts), -size, -messages)
