"""Which messages have attachments."""

import pytest

from pydovecot.mime.attachments import has_attachment, type_filter
from pydovecot.storage.attachments import HAS, HAS_NO, Detection

PNG = "Content-Type: image/png\nContent-Disposition: "


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        (PNG + "attachment", True),
        (PNG + "ATTACHMENT; filename=x", True),
        (PNG + "inline; filename=x", True),
        (PNG + "inline; filename=", True),
        (PNG + "inline; filename*=utf-8''x", False),
        (PNG + "inline", False),
        (PNG + "other; filename=x", False),
        ("Content-Type: image/png; name=x", False),
        ("Content-Disposition: attachment", False),
        ("MIME-Version: 1.0\nContent-Disposition: attachment", False),
        ("Content-Type: multipart/mixed; boundary=b\nContent-Disposition: attachment", True),
    ],
)
def test_fields(fields: str, want: bool) -> None:
    message = f"{fields}\n\nx\n".encode()
    assert has_attachment(message, type_filter(()), inlined=True) is want


def test_parts_within_parts() -> None:
    inner = f"{PNG}attachment\n\nx\n"
    outer = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
    message = f"{outer}{inner}--b--\n"
    assert has_attachment(message.encode(), type_filter(()), inlined=False)


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ("add-flags", HAS),
        ("add-flags exclude-inlined", HAS_NO),
        ("add-flags content-type=!image/*", HAS_NO),
        ("add-flags content-type=!image/*,image/p?g", HAS),
        ("add-flags content-type=application/*", HAS),
        ("add-flags content-type=!IMAGE/[pP]NG", HAS),
    ],
)
def test_options(options: str, want: str) -> None:
    detection = Detection.configured(options)
    assert detection is not None
    assert detection.keyword(f"{PNG}inline; filename=x\n\nx".encode()) == want
    assert detection.keywords(b"Subject: x\n\n", ["Keep", "$hasattachment"]) == {"Keep", HAS_NO}


def test_nothing_is_detected_unless_asked_for() -> None:
    assert Detection.configured("exclude-inlined content-type=x") is None


@pytest.mark.parametrize(
    ("keywords", "want"),
    [([], True), (["x"], True), (["$HASATTACHMENT"], False), ([HAS_NO], False), ([HAS, HAS_NO], True)],
)
def test_the_client_knows_better(keywords: list[str], want: bool) -> None:
    assert Detection.wanted(keywords) is want
