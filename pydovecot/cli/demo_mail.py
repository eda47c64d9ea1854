"""Sample mail for `pydovecot demo`: small, varied, and written for it."""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360f8cf50cf000003860180a5b5b4d60000000049454e44ae426082"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One message: who, when (hours before now), and what."""

    sender: str
    subject: str
    text: str
    hours: int
    html: str = ""
    attachment: bool = False
    answers: int | None = None  # index of the message it replies to
    flags: str = ""  # maildir letters; "" means new


ALICE = (
    Sample(
        "The server <postmaster@demo.example>",
        "Welcome",
        "Hello Alice,\n\nthis mailbox belongs to a server that one command started. Everything in it may be\n"
        "read, filed, flagged and deleted; it goes away with the server unless you gave it a --dir.\n",
        72,
        flags="S",
    ),
    Sample(
        "Bob <bob@demo.example>",
        "Lunch on Thursday?",
        "The usual place at half past twelve?\n\nBob\n",
        50,
        flags="S",
    ),
    Sample(
        "Alice <alice@demo.example>",
        "Re: Lunch on Thursday?",
        "Gladly. I'll bring the drawings.\n\n> The usual place at half past twelve?\n",
        49,
        answers=1,
        flags="RS",
    ),
    Sample(
        "Zoë Åström <zoe@demo.example>",
        "Grüße aus Malmö ☀",
        "Liebe Alice,\n\ndas Wetter ist herrlich, das Eis schmilzt schneller als wir essen.\n\nDeine Zoë\n",
        30,
        flags="FS",
    ),
    Sample(
        "News <news@demo.example>",
        "Three things worth knowing",
        "1. Mail is older than the web.\n2. IMAP sequence numbers start at one.\n3. So do good days.\n",
        20,
        html="<h1>Three things</h1><ol><li>Mail is older than the web.<li>IMAP sequence numbers start at one."
        "<li>So do good days.</ol>",
    ),
    Sample(
        "Bob <bob@demo.example>",
        "The picture I promised",
        "It is a very small one.\n",
        2,
        attachment=True,
    ),
)
BOB = (
    Sample(
        "The server <postmaster@demo.example>", "Welcome", "Hello Bob,\n\nthe other mailbox is Alice's.\n", 72
    ),
    Sample("Alice <alice@demo.example>", "Drawings", "Bob, have you seen the blue folder?\n\nAlice\n", 26),
    Sample("Alice <alice@demo.example>", "Found it", "It was under the cat.\n", 25, answers=1),
)
ARCHIVE = (
    Sample(
        "Alice <alice@demo.example>", "Shopping list", "Bread, pears, a new bicycle bell.\n", 400, flags="S"
    ),
    Sample("Zoë Åström <zoe@demo.example>", "Train times", "8:12 there, 19:40 back.\n", 380, flags="S"),
)


def deliver(folder: Path, samples: tuple[Sample, ...], recipient: str, now: datetime) -> None:
    """Write samples into a Maildir folder (made if needed), oldest first, with their own dates."""
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(samples):
        when = now - timedelta(hours=sample.hours)
        data = _message(samples, number, recipient, when).as_bytes()
        stem = f"{int(when.timestamp())}.M{number}P{os.getpid()}.{socket.gethostname()}"
        place = folder / "cur" / f"{stem}:2,{sample.flags}" if sample.flags else folder / "new" / stem
        temporary = folder / "tmp" / stem
        temporary.write_bytes(data)
        os.utime(temporary, (when.timestamp(), when.timestamp()))
        temporary.rename(place)


def _message(samples: tuple[Sample, ...], number: int, recipient: str, when: datetime) -> EmailMessage:
    sample = samples[number]
    message = EmailMessage()
    message["From"] = sample.sender
    message["To"] = recipient
    message["Subject"] = sample.subject
    message["Date"] = format_datetime(when.astimezone(UTC))
    message["Message-ID"] = _message_id(samples, number)
    if sample.answers is not None:
        message["In-Reply-To"] = message["References"] = _message_id(samples, sample.answers)
    message.set_content(sample.text)
    if sample.html:
        message.add_alternative(sample.html, subtype="html")
    if sample.attachment:
        message.add_attachment(PIXEL, maintype="image", subtype="png", filename="promised.png")
    return message


def _message_id(samples: tuple[Sample, ...], number: int) -> str:
    return f"<{number}.{samples[number].hours}@demo.example>"
