"""The rules of EMAILID and THREADID. The ids here are what clients have stored: they may never change."""

import pytest

from pydovecot.mime.objectid import email_id, thread_id

ROOT = b"T49a7d997fb02e848166d15fbed89f739"


def test_email_id_of_ever() -> None:
    assert email_id(b"Subject: x\n\nbody\n") == b"Ma8feb3bd723123b67775f4e2a368b3f7"
    assert email_id(b"Subject: x\r\n\r\nbody\r\n") == email_id(b"Subject: x\n\nbody\n")
    assert email_id(b"") == b"Me3b0c44298fc1c149afbf4c8996fb924"
    assert email_id(b"a\rb") != email_id(b"a\nb")


@pytest.mark.parametrize(
    "header",
    [
        b"Message-ID: <root@example.org>\n\n",
        b"Message-ID: <root@example.org>\r\n\r\n",
        b"message-id:<root@example.org>\n\n",
        b"MESSAGE-ID : \n <root@example.org>\n\n",
        b"Message-ID: <x@y>\nIn-Reply-To: <root@example.org>\n\n",
        b"In-Reply-To: Your message of Monday <root@example.org>\nMessage-ID: <x@y>\n\n",
        b"Message-ID: <x@y>\nIn-Reply-To: <b@y>\nReferences: <root@example.org> <b@y>\n\n",
        b"References:\n\t<root@example.org>\n\t<b@y>\nMessage-ID: <x@y>\n\n",
        b"References: <root@exam\n ple.org> <b@y>\n\n",
        b"References: root@example.org other\n\n",
        b"References: \nIn-Reply-To: <root@example.org>\n\n",
        b"Message-ID: <root@example.org>\nMessage-ID: <second@example.org>\n\n",
        b"Subject: x\nX-References: <no@y>\nMessage-ID: <root@example.org>",
    ],
)
def test_thread_id_is_of_the_root(header: bytes) -> None:
    assert thread_id(header) == ROOT


def test_no_identifier_at_all() -> None:
    alone = thread_id(b"Subject: x\n\n")
    assert alone == thread_id(b"Subject: x\r\n\r\n") == b"T225477711b5fc4f3be9f865abd9abd45"
    assert alone != thread_id(b"Subject: y\n\n")
    # What is no identifier joins nobody.
    assert thread_id(b"Message-ID: <>\nSubject: x\n\n") != thread_id(b"Message-ID: <>\nSubject: y\n\n")
    assert thread_id(b"In-Reply-To: Your mail\nSubject: x\n\n") != thread_id(b"In-Reply-To: Your mail\n\n")
    assert thread_id(b"") == b"T01ba4719c80b6fe911b091a7c05124b6"


def test_case_counts() -> None:
    assert thread_id(b"Message-ID: <Root@example.org>\n\n") != ROOT
