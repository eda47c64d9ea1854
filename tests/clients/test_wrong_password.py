"""The last of these tests: after a failure the address has to wait, as do all who come from it."""

from pathlib import Path

import pytest

from tests.support.clients import Account, need, run_client

pytestmark = [pytest.mark.process, pytest.mark.clients]


def test_a_wrong_password_is_refused(account: Account, tmp_path: Path) -> None:
    url = f"imap://127.0.0.1:{account.site.imap}/INBOX"
    run_client(need("curl"), "-sS", "-u", f"{account.name}:wrong", url, cwd=tmp_path, ok=(67,))
