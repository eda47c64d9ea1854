"""docs/settings.md is what the table says. Which settings have an effect is not compared: that changes."""

import re
from pathlib import Path

from pydovecot.services.config.reference import render

PAGE = Path(__file__).parents[4] / "docs" / "settings.md"


def _rows(text: str) -> list[str]:
    return [re.sub(r"\| (yes|no) \|.*", "", line) for line in text.splitlines() if line.startswith("|")]


def test_the_page_is_made_from_the_table() -> None:
    """Make it anew: python -m pydovecot.services.config.reference > docs/settings.md"""
    assert _rows(PAGE.read_text()) == _rows(render())


def test_the_page_has_all_kinds_of_settings() -> None:
    page = render()
    assert "| `mail_fsync` | enum: optimized never always | `optimized` |" in page
    assert "| `mdbox_rotate_size` | size | `10 M` | `2 M` |" in page
    assert "| `stats_memory_limit` | size | `16 M` | only there |" in page
    assert "## namespace { mailbox { } }" in page
    assert (
        "| imap-login | imap | login | $default_login_user | login | service_count=1 | imap 143, imaps 993 |"
        in page
    )
