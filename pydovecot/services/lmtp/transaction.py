"""One message on its way: sender, recipients, content. Who they are is asked at once, delivery comes last."""

from dataclasses import dataclass, field
from typing import Protocol

from pydovecot.delivery.spool import Spool
from pydovecot.proto.smtp.path import Path


@dataclass(slots=True)
class Client:
    """What is known of the client; XCLIENT of a trusted one may change it."""

    session: str
    helo: str = ""
    local_ip: str = ""
    local_port: int = 0
    remote_ip: str = ""
    remote_port: int = 0
    login: str = ""
    trusted: bool = False
    tls: str = ""  # "TLSv1.3 with cipher X (256/256 bits)"; "" without TLS
    ttl: int = 5  # how many more times the message may be proxied
    timeout: int = 0


@dataclass(slots=True)
class Recipient:
    """An accepted RCPT. `account` is what the backend found: its own affair."""

    path: Path
    session: str
    account: object
    detail: str = ""
    original: str = ""  # ORCPT: where the sender sent it, RFC 3461 4.2
    same_as: "Recipient | None" = None  # the same address again: delivered once, answered twice

    @property
    def address(self) -> str:
        """As replies and headers have it."""
        return self.path.encode().decode("utf-8", "surrogateescape")


@dataclass(slots=True)
class Transaction:
    """From MAIL to the end of the data."""

    sender: Path
    session: str
    recipients: list[Recipient] = field(default_factory=list)
    by_address: dict[bytes, Recipient] = field(default_factory=dict)  # the first of each
    attempts: int = 0  # RCPTs so far, refused ones too: they number the recipients' session ids
    spool: Spool | None = None  # there once data has come
    size: int = 0  # as MAIL has told it, RFC 1870; 0: it has not
    begin: float = 0.0  # of the transaction, on the monotonic clock
    failed: bool = False  # the rest of a BDAT sequence is refused

    @property
    def sender_address(self) -> str:
        """As headers and log lines have it."""
        return self.sender.encode().decode("utf-8", "surrogateescape") if not self.sender.null else ""

    def close(self) -> None:
        """Forget the content."""
        if self.spool is not None:
            self.spool.close()
            self.spool = None


@dataclass(slots=True)
class Incoming:
    """The data that comes: a whole message (DATA) or a chunk (BDAT). `refused`: the reply when it is over."""

    last: bool = True
    octets: int = 0
    refused: bytes = b""
    broken: bytes = b""  # it could not be kept: the reply to that


class NoSuchUser(Exception):
    """550; the text is the user name that was looked for."""


class NotTaken(Exception):
    """The recipient's mailbox takes no mail now; the text is the reply."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer.decode("utf-8", "replace"))
        self.answer = answer


class LookupFailed(Exception):
    """451: the user databases cannot be asked now; logged already."""


class Backend(Protocol):
    """Users and their mail, behind the protocol."""

    def now(self) -> float:
        """A clock that only differences of are looked at."""
        ...

    def find(self, client: Client, recipient: Path, session: str, forward: str) -> tuple[object, str]:
        """Account and detail of an address. Raises NoSuchUser, LookupFailed."""
        ...

    def admit(self, client: Client, recipient: Recipient, size: int) -> None:
        """The last look at a recipient before it is accepted. Raises NotTaken."""
        ...

    def forget(self) -> None:
        """The transaction is over: its recipients are nobody's any more."""
        ...

    def spool(self) -> Spool:
        """A place for a message that arrives."""
        ...

    def deliver(self, client: Client, transaction: Transaction) -> list[bytes]:
        """Deliver to all recipients: a reply for each, in their order."""
        ...
