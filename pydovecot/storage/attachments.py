"""mail_attachment_detection_options: saved messages get $HasAttachment or $HasNoAttachment.

Drivers ask here when a message has been written: whoever saves mail, IMAP or a delivery, gets the keywords.
"""

from collections.abc import Collection
from typing import Final

from pydovecot.mime import attachments

HAS: Final = "$HasAttachment"
HAS_NO: Final = "$HasNoAttachment"
KEYWORDS: Final = (HAS, HAS_NO)  # both are made when the first is needed, in this order
_LOWER: Final = frozenset(word.lower() for word in KEYWORDS)


class Detection:
    """The options, read once. `on_fetch`: messages without these keywords get them when they are read."""

    def __init__(self, options: str) -> None:
        self.on_fetch = True
        self._inlined = True
        patterns: list[str] = []
        for word in options.split():
            if word == "exclude-inlined":
                self._inlined = False
            elif word == "no-flags-on-fetch":
                self.on_fetch = False
            elif word.startswith("content-type="):
                patterns += word.partition("=")[2].split(",")
        self._accepts = attachments.type_filter([pattern for pattern in patterns if pattern])

    @classmethod
    def configured(cls, options: str) -> "Detection | None":
        """None: nothing is to be detected."""
        words = options.split()
        return cls(options) if "add-flags" in words or "add-flags-on-save" in words else None

    @staticmethod
    def wanted(keywords: Collection[str]) -> bool:
        """A client that says one of both knows better."""
        return len({name.lower() for name in keywords} & _LOWER) != 1

    def keyword(self, message: bytes) -> str:
        """The one of KEYWORDS that a message should have."""
        return HAS if attachments.has_attachment(message, self._accepts, inlined=self._inlined) else HAS_NO

    def keywords(self, message: bytes, keywords: Collection[str]) -> frozenset[str]:
        """All keywords of a message that is saved with these."""
        others = frozenset(name for name in keywords if name.lower() not in _LOWER)
        return others | {self.keyword(message)}
