"""imapflow, the IMAP client library of npm."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.clients import PASSWORD, Account, digests, need, run_client

pytestmark = [pytest.mark.process, pytest.mark.clients]

SCRIPT = Path(__file__).with_name("imapflow.mjs")


def library() -> Path:
    """The folder with node_modules/imapflow, or skip."""
    folder = Path(os.environ.get("PYDOVECOT_NODE_MODULES") or Path.home() / ".cache" / "pydovecot-node")
    for candidate in (folder, folder.parent):
        if (candidate / "node_modules" / "imapflow").is_dir():
            return candidate
    pytest.skip("imapflow is not installed (npm install imapflow; PYDOVECOT_NODE_MODULES names the folder)")


@pytest.mark.parametrize(("secure", "rev1"), [("no", "no"), ("yes", "no"), ("no", "yes")])
def test_imapflow(account: Account, tmp_path: Path, secure: str, rev1: str) -> None:
    """It speaks IMAP4rev2 where it can (RFC 9051), and uses OBJECTID (RFC 8474)."""
    port = account.site.imaps if secure == "yes" else account.site.imap
    words = ["127.0.0.1", str(port), secure, rev1, account.name, PASSWORD]
    out = run_client("env", f"IMAPFLOW_FROM={library()}", need("node"), str(SCRIPT), *words, cwd=tmp_path)
    seen = json.loads(out)
    count = len(account.inbox)
    assert seen["exists"] == count
    assert Counter(seen["digests"]) == digests(account.inbox)
    assert seen["structures"] == count and seen["subjects"] == count
    assert seen["rev2"] == (rev1 == "no")
    assert re.fullmatch("F[0-9a-f]{32}", seen["mailboxId"])
    assert len(set(seen["emails"])) == count and all(
        re.fullmatch("M[0-9a-f]{32}", one) for one in seen["emails"]
    )
    assert len(seen["threads"]) == count and all(
        re.fullmatch("T[0-9a-f]{32}", one) for one in seen["threads"]
    )
    assert seen["byId"] == [2]  # three before it were moved
    assert seen["international"] == ["\u6587\u5b57"]
    assert seen["status"]["messages"] == 0 and seen["status"]["uidNext"] == 1
    assert "INBOX" in seen["folders"] and "Work" in seen["folders"]
    assert seen["flagged"] == [1, 2] and seen["appended"] == count + 1
    assert seen["moved"] == 3 and seen["archive"] == 3
    assert seen["left"] == count + 1 - 3 - 1
    assert digests(account.bodies_on_server("Archive")) == digests(account.inbox[:3])
    left = [*account.inbox[4:], b"Subject: from imapflow\n\nhello\n"]
    assert digests(account.bodies_on_server()) == digests(left)
