"""summary.of_header: the same of a header alone as of the whole message."""

from pydovecot.mime import header, summary
from tests.support import mailgen, oddheaders


def test_header_alone() -> None:
    mails = [*oddheaders.sortable(3, 150), *oddheaders.conversations(3, 60), *mailgen.generate(3, 60)]
    for mail in mails:
        whole = summary.of(mail)
        assert summary.of_header(mail[: header.end(mail)]) == (whole.envelope, whole.sent, whole.sent_day)
