"""LIST: all names of all namespaces as one tree, and the walk through it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydovecot.storage.api import ListEntry, ListOptions
from pydovecot.storage.backend import INBOX
from pydovecot.storage.list.pattern import Matcher
from pydovecot.storage.namespaces import NamespaceEntry


@dataclass(slots=True)
class Branch:
    """One name. `exists` and `selectable` as in ListEntry; with neither it is only on the way to others."""

    name: str = ""
    separator: str = ""
    exists: bool = False
    selectable: bool = False
    no_inferiors: bool = False
    subscribed: bool = False
    marked: bool | None = None
    node: bool = False
    special_use: tuple[str, ...] = ()
    children: dict[str, "Branch"] = field(default_factory=dict)

    def has_children(self) -> bool:
        """Some name below is there (subscriptions to what is not there do not count)."""
        return any(child.exists or child.has_children() for child in self.children.values())


class Tree:
    """Names of several namespaces. The separator of a level is that of the namespace that made it."""

    def __init__(self) -> None:
        self.root = Branch()

    def add(self, name: str, separator: str) -> Branch:
        """The branch of a name, made with its parents if needed."""
        branch = self.root
        at = 0
        while at <= len(name):
            end = name.find(separator, at)
            end = len(name) if end < 0 else end
            child = branch.children.get(name[at:end])
            if child is None:
                child = branch.children[name[at:end]] = Branch(name[:end], separator)
            branch, at = child, end + 1
        return branch

    def add_namespace(self, entry: NamespaceEntry) -> None:
        """What is there, what will be made when it is opened, and the node that the prefix is."""
        for node in entry.backend.nodes():
            branch = self.add(entry.name(node.parts), entry.separator)
            branch.exists, branch.selectable = True, node.selectable
            branch.no_inferiors, branch.marked = node.no_inferiors, node.marked
            branch.node = not node.selectable and entry.backend.has_nodes
        for parts, settings in entry.mailboxes.items():
            if settings.auto != "no":
                branch = self.add(entry.name(parts), entry.separator)
                branch.exists = branch.selectable = True
        if entry.inbox:
            branch = self.add(entry.name(INBOX), entry.separator)
            branch.exists = branch.selectable = True
        prefix = entry.prefix.removesuffix(entry.separator)
        if prefix and entry.settings.list == "yes":
            self.add(prefix, entry.separator).exists = True

    def mark(self, entry: NamespaceEntry) -> None:
        """Special uses by configuration."""
        for parts, settings in entry.mailboxes.items():
            if settings.special_use:
                branch = self._find(entry.name(parts), entry.separator)
                if branch is not None:
                    branch.special_use = settings.special_use

    def _find(self, name: str, separator: str) -> Branch | None:
        branch: Branch | None = self.root
        for part in name.split(separator):
            branch = branch.children.get(part) if branch is not None else None
        return branch

    def walk(self, matcher: Matcher, options: ListOptions) -> Iterator[ListEntry]:
        """Parents before children, siblings by name, INBOX behind the others as Dovecot has it."""
        for branch in _ordered(self.root.children.values()):
            yield from _walk(branch, matcher, options)


def _ordered(branches: Iterable[Branch]) -> list[Branch]:
    return sorted(branches, key=lambda branch: (branch.name == "INBOX", branch.name))


def _walk(branch: Branch, matcher: Matcher, options: ListOptions) -> Iterator[ListEntry]:
    if matcher.matches(branch.name):
        entry = _entry(branch, matcher, options)
        if entry is not None:
            yield entry
    if branch.children and matcher.may_match_below(branch.name):
        for child in _ordered(branch.children.values()):
            yield from _walk(child, matcher, options)


def _entry(branch: Branch, matcher: Matcher, options: ListOptions) -> ListEntry | None:
    children = branch.has_children()
    child_subscribed = options.recursive_match and _subscribed_below(branch, matcher)
    if options.subscribed:
        wanted = branch.subscribed or child_subscribed
    else:
        wanted = branch.exists or children
    if options.special_use and not branch.special_use:
        wanted = False
    if not wanted:
        return None
    return ListEntry(
        name=branch.name,
        separator=branch.separator,
        exists=branch.exists,
        selectable=branch.selectable,
        no_inferiors=branch.no_inferiors,
        children=children,
        subscribed=branch.subscribed,
        child_subscribed=child_subscribed,
        marked=branch.marked,
        special_use=branch.special_use,
        node=branch.node,
    )


def _subscribed_below(branch: Branch, matcher: Matcher) -> bool:
    """A subscription below that no pattern shows by itself. RFC 5258 3.5."""
    return any(
        (child.subscribed and not matcher.matches(child.name)) or _subscribed_below(child, matcher)
        for child in branch.children.values()
    )
