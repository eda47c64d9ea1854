"""maildir: usage is kept in maildirsize, which Dovecot, Courier and others understand."""

import os
import re
from collections.abc import Iterable
from typing import Final

from pydovecot.model.errors import InternalError
from pydovecot.plugins.quota import maildirsize
from pydovecot.plugins.quota.count import Mailboxes
from pydovecot.plugins.quota.maildirsize import Maildirsize
from pydovecot.plugins.quota.quota import MESSAGE, STORAGE
from pydovecot.plugins.quota.rules import Limits, Rules
from pydovecot.storage.drivers.maildir.backend import MaildirBackend

_SIZE: Final = re.compile(r",S=([0-9]{1,18})(?=[:,]|\Z)")


class MaildirUsage:
    """`home`: the maildir whose control directory has the file; None: the mail is in another format."""

    def __init__(self, rules: Rules, home: MaildirBackend | None, mailboxes: Mailboxes) -> None:
        self._rules, self._mailboxes = rules, mailboxes
        self._file: Maildirsize | None = None
        if home is not None:
            permissions = home.permissions
            self._file = Maildirsize(home.control_root, permissions.file_mode, permissions.gid)

    @property
    def resources(self) -> tuple[str, ...]:
        """Both."""
        return STORAGE, MESSAGE

    def limits(self) -> Limits | None:
        """Those in the file, if there is one."""
        content = self._read()
        return content.limits if content is not None else None

    def used(self) -> Limits:
        """By the file, or by counting."""
        if self._file is None:
            return Limits()
        content = self._read()
        trusted = self._trusted(content)
        if trusted is not None:
            return trusted
        limits = self._limits(content)
        if limits.unlimited and self._rules.default.unlimited and not self._rules.forced:
            return Limits()  # nothing to enforce: nobody has to count
        return self._recount(limits)

    def changed(self, octets: int, messages: int) -> None:
        """A line more; who counts now has counted that already."""
        if self._file is None:
            return
        content = self._read()
        if self._trusted(content) is None:
            self._recount(self._limits(content))
        elif (octets or messages) and not self._file.append(octets, messages):
            self._later()

    def recalc(self) -> None:
        """Count, whatever the file says."""
        if self._file is not None:
            self._recount(self._limits(self._read()))

    def _read(self) -> maildirsize.Content | None:
        if self._file is None:
            return None
        try:
            return self._file.read()
        except OSError as exc:
            raise InternalError(f"quota-maildir: open({self._file.path}) failed: {exc.strerror}") from exc

    def _limits(self, content: maildirsize.Content | None) -> Limits:
        if content is None or self._rules.forced:
            return self._rules.default
        return content.limits

    def _trusted(self, content: maildirsize.Content | None) -> Limits | None:
        """Usage as the file says, if that can be believed."""
        if content is None or content.used is None:
            return None
        limits = self._limits(content)
        if content.limits != limits or maildirsize.is_stale(content, limits):
            return None
        return content.used

    def _recount(self, limits: Limits) -> Limits:
        """Look at all messages. What has changed meanwhile makes the file worthless, not the answer."""
        assert self._file is not None
        octets = messages = latest = 0
        for directory in self._directories():
            try:
                latest = max(latest, int(os.stat(directory).st_mtime))
                found = sum_directory(directory)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as exc:
                raise InternalError(f"quota-maildir: {directory}: {exc.strerror}") from exc
            octets, messages = octets + found.octets, messages + found.messages
        used = Limits(octets, messages)
        try:
            written = not self._changed_since(latest) and self._file.write(limits, used)
        except OSError as exc:
            raise InternalError(f"quota-maildir: {self._file.path}: {exc.strerror}") from exc
        if not written:
            self._later()
        return used

    def _changed_since(self, latest: int) -> bool:
        for directory in self._directories():
            try:
                if int(os.stat(directory).st_mtime) > latest:
                    return True
            except OSError:
                continue
        return False

    def _directories(self) -> Iterable[str]:
        for backend, parts in self._mailboxes():
            if isinstance(backend, MaildirBackend):
                path = backend.layout.path(parts)
                yield f"{path}/new"
                yield f"{path}/cur"

    def _later(self) -> None:
        """The file is wrong now. Where its limits are not in dovecot.conf too, it must stay."""
        if self._rules.forced and self._file is not None:
            self._file.remove()


def sum_directory(directory: str) -> Limits:
    """Sizes by name, or by looking at the file. OSError."""
    octets = messages = 0
    for entry in os.scandir(directory):
        match = _SIZE.search(entry.name)
        if match is not None:
            octets += int(match[1])
        elif entry.name.startswith(".."):
            continue
        else:
            try:
                octets += entry.stat().st_size
            except FileNotFoundError:
                continue
        messages += 1
    return Limits(octets, messages)
