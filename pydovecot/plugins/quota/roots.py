"""The settings of plugin { quota ... } of a user, read once: roots with their rules, and what they share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydovecot.model.errors import InternalError
from pydovecot.plugins.quota.rules import DEFAULT_GRACE, BackendLimits, BadRule, Rules, wildcard
from pydovecot.settings.kinds import parse_size
from pydovecot.storage.namespaces import NamespaceEntry

EXCEEDED: Final = "Quota exceeded (mailbox for user is full)"
TRUE: Final = frozenset("1yYtT")  # first letters of a true boolean in plugin { }


@dataclass(slots=True)
class RootSettings:
    """`quota = backend:name:args`, with the rules beside it. `setting`: quota, quota2, ..."""

    setting: str
    backend: str
    name: str
    rules: Rules
    hidden: bool = False
    enforcing: bool = True
    ignore_unlimited: bool = False
    over: "OverFlag | None" = None
    namespace: str | None = None  # the prefix of the only namespace that counts; None: all private ones

    def counts(self, entry: NamespaceEntry) -> bool:
        """Mail of this namespace is in this root."""
        if self.namespace is not None:
            return entry.prefix == self.namespace
        return entry.settings.type == "private"


@dataclass(frozen=True, slots=True)
class OverFlag:
    """quota_over_script: what to do when userdb is wrong about whether this user is over quota."""

    script: str
    flag: str  # what userdb says
    value: str  # a pattern of flags that mean: over quota
    lazy: bool  # look when quota is asked about, not whenever a store is opened

    @property
    def says_over(self) -> bool:
        """Somebody believes that the user is over quota."""
        return bool(self.flag) and wildcard(self.value.lower()).fullmatch(self.flag.lower()) is not None


@dataclass(slots=True)
class QuotaSettings:
    """All of it."""

    roots: list[RootSettings]
    exceeded: str = EXCEEDED
    max_mail_size: int = 0
    crlf_sizes: bool = False  # quota_vsizes
    admin: bool = False  # a field of userdb: what is wrong with a SETQUOTA is told

    @property
    def empty(self) -> bool:
        """There is nothing to do for this user."""
        return not self.roots and not self.max_mail_size


def read(
    plugin: Mapping[str, str], expand: Callable[[str], str], backends: Mapping[str, BackendLimits]
) -> QuotaSettings:
    """Raises InternalError in Dovecot's words. `backends`: how each one reads `backend=` rules."""

    def value(name: str) -> str | None:
        text = plugin.get(name)
        return None if text is None else expand(text)

    settings = QuotaSettings([])
    # A file (`</path`) has line ends, an answer must not.
    settings.exceeded = " ".join((value("quota_exceeded_message") or "").split()) or EXCEEDED
    settings.crlf_sizes = (value("quota_vsizes") or "no")[0] in TRUE
    settings.admin = (value("admin") or "no")[0] in TRUE
    settings.max_mail_size = max_mail_size(value("quota_max_mail_size") or "")
    setting, number = "quota", 2
    while text := value(setting):
        try:
            settings.roots.append(_root(setting, text, value, backends))
        except BadRule as exc:
            raise InternalError(f"Failed to initialize quota: Invalid quota root {setting}: {exc}") from exc
        setting, number = f"quota{number}", number + 1
    return settings


def max_mail_size(text: str) -> int:
    """quota_max_mail_size; 0: any. Raises InternalError."""
    try:
        return parse_size(text) if text else 0
    except ValueError as exc:
        raise InternalError(f"Failed to initialize quota: quota_max_mail_size: {exc}") from exc


def _root(
    setting: str,
    text: str,
    value: Callable[[str], str | None],
    backends: Mapping[str, BackendLimits],
) -> RootSettings:
    if not (value("quota_set") or "dict:").startswith("dict:"):
        raise BadRule("quota_set supports only dict backend")
    backend, _, rest = text.partition(":")
    name, _, args = rest.partition(":")
    if backend not in backends:
        raise BadRule(f"Unknown quota backend: {backend}")
    root = RootSettings(setting, backend, name, Rules())
    for rule in _numbered(f"{setting}_rule", value):
        try:
            root.rules.add(rule, backends[backend])
        except BadRule as exc:
            raise BadRule(f"Invalid rule {rule}: {exc}") from exc
    for warning in _numbered(f"{setting}_warning", value):
        try:
            root.rules.add_warning(warning)
        except BadRule as exc:
            raise BadRule(f"Invalid warning rule: {warning}") from exc
    grace = value(f"{setting}_grace")
    try:
        root.rules.set_grace(grace if grace is not None else DEFAULT_GRACE)
    except BadRule as exc:
        raise BadRule(f"Invalid {setting}_grace value '{grace}': {exc}") from exc
    script, flagged = value(f"{setting}_over_script"), value(f"{setting}_over_flag_value")
    if script and flagged is not None:
        lazy = (value(f"{setting}_over_flag_lazy_check") or "no")[0] in TRUE
        root.over = OverFlag(script, value(f"{setting}_over_flag") or "", flagged, lazy)
    _options(root, args)
    return root


def init_failed(root: RootSettings, why: str) -> str:
    """A backend cannot work with its settings."""
    return f"Failed to initialize quota: Quota root {root.name}: {root.backend} quota init failed: {why}"


def _numbered(name: str, value: Callable[[str], str | None]) -> list[str]:
    """name, name2, name3 ... as far as they go."""
    found: list[str] = []
    text = value(name)
    while text is not None:
        found.append(text)
        text = value(f"{name}{len(found) + 1}")
    return found


def _options(root: RootSettings, args: str) -> None:
    for option in args.split(":") if args else ():
        if option == "hidden":
            root.hidden = True
        elif option == "noenforcing":
            root.enforcing = False
        elif option == "ignoreunlimited":
            root.ignore_unlimited = True
        elif option.startswith("ns="):
            root.namespace = option[3:]
        elif option:
            raise InternalError(init_failed(root, f"Unknown parameter for backend {root.backend}: {option}"))
