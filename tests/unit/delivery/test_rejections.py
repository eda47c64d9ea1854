"""Rejections: what is in them, and that they are sent to nobody but the sender."""

import email
import email.policy
from email.message import EmailMessage, Message
from pathlib import Path

import pytest

from pydovecot.delivery.bounce import CannotSend, Rejection
from pydovecot.delivery.mail import Mail
from pydovecot.delivery.settings import DeliverySettings
from pydovecot.delivery.spool import Spool

TEXT = b"Message-ID: <1@x>\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\nFrom: a@b\r\n\r\nsecret body\r\n"


def rejection(text: bytes = TEXT, sender: str = "a@example.org", reason: str = "Quota exceeded") -> Rejection:
    spool = Spool("/tmp")
    spool.write(text)
    return Rejection(Mail(spool), sender, "bob@example.com", reason, "mx.example.com", "pm@example.com")


def parts_of(message: bytes) -> tuple[EmailMessage, list[Message]]:
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    return parsed, list(parsed.iter_parts())


def test_a_rejection_is_a_report() -> None:
    settings = DeliverySettings(rejection_reason="To <%t>: %r%nabout %s")
    parsed, parts = parts_of(rejection().render(settings, now=1.7e9, random=bytes))
    assert parsed.get_content_type() == "multipart/report"
    assert parsed["Subject"] == "Rejected: grüße"
    assert parsed["To"] == "a@example.org"
    assert parsed["From"] == "Postmaster <pm@example.com>"
    assert parsed["Auto-Submitted"] == "auto-replied (rejected)"
    assert not parsed.defects
    assert [part.get_content_type() for part in parts] == [
        "text/plain", "message/delivery-status", "message/rfc822",
    ]  # fmt: skip
    words = parts[0].get_payload(decode=True)
    assert words == "To <bob@example.com>: Quota exceeded\r\nabout grüße".encode()
    notice = parts[1].as_bytes()
    assert b"Final-Recipient: rfc822; bob@example.com" in notice
    assert b"Status: 5.2.2" in notice
    assert b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=" in parts[2].as_bytes()


def test_the_body_is_not_sent_back() -> None:
    assert b"secret body" not in rejection().render(DeliverySettings(), now=0, random=bytes)


def test_line_ends_are_those_of_mail() -> None:
    made = rejection().render(DeliverySettings(), now=0, random=bytes)
    assert made.count(b"\n") == made.count(b"\r\n")


def test_a_subject_cannot_add_header_fields() -> None:
    text = b"Subject: =?utf-8?q?x=0D=0ABcc:_all@example.org?=\r\n\r\n"
    parsed, _ = parts_of(rejection(text).render(DeliverySettings(), now=0, random=bytes))
    assert parsed["Bcc"] is None


@pytest.mark.parametrize("sender", ["", "a b@c", "-oQ/tmp", "a@b\nc", "<a@b>"])
def test_odd_senders_get_nothing(sender: str) -> None:
    with pytest.raises(CannotSend):
        rejection(sender=sender).send(DeliverySettings(sendmail_path="/bin/false"))


def sendmail(folder: Path, status: int = 0) -> str:
    program = folder / "sendmail"
    lines = (f'printf "%s\\n" "$@" > {folder}/args', f"cat > {folder}/mail", f"exit {status}")
    program.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    program.chmod(0o755)
    return str(program)


def test_it_is_given_to_sendmail_in_the_null_senders_name(tmp_path: Path) -> None:
    rejection().send(DeliverySettings(sendmail_path=sendmail(tmp_path)))
    assert (tmp_path / "args").read_text().split("\n") == ["-i", "-f", "<>", "--", "a@example.org", ""]
    assert (tmp_path / "mail").read_bytes().startswith(b"Message-ID: <dovecot-")


@pytest.mark.parametrize("program", ["status", "/nonexistent"])
def test_a_program_that_fails(tmp_path: Path, program: str) -> None:
    path = sendmail(tmp_path, 75) if program == "status" else program
    with pytest.raises(CannotSend, match="returned exit code 75" if program == "status" else "No such file"):
        rejection().send(DeliverySettings(sendmail_path=path))
