"""The PROXY protocol's header: facts out of it, at any cut, and nothing beyond its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.proto.haproxy import MAX_V2, BadHeader, Header, parse
from tests.support.haproxy import (
    BROKEN,
    CLIENT,
    CLIENT6,
    HEADERS,
    IPV4,
    LINE,
    SERVER,
    SERVER6,
    binary,
    tls,
    tlv,
)


def test_addresses_of_a_line() -> None:
    assert parse(LINE) == Header(len(LINE), CLIENT, 4711, SERVER, 143)


def test_addresses_of_the_binary_form() -> None:
    found = parse(HEADERS["binary of IPv6"] + b"a LOGIN")
    assert found == Header(len(HEADERS["binary of IPv6"]), CLIENT6, 4711, SERVER6, 143)


def test_facts_behind_the_addresses() -> None:
    found = parse(binary(IPV4 + tlv(2, b"mail.example.org") + tls()))
    assert found is not None
    assert (found.tls, found.hostname, found.certificate_name) == (True, "mail.example.org", "carol")
    plain = parse(binary(IPV4 + tls(client=0)))
    assert plain is not None and not plain.tls


@pytest.mark.parametrize("name", ["line, unknown", "binary, the proxy itself", "binary, UNIX sockets"])
def test_no_addresses(name: str) -> None:
    found = parse(HEADERS[name])
    assert found is not None and (found.remote_ip, found.remote_port, found.local_ip) == ("", 0, "")
    assert (found.complaint is not None) == (name == "binary, UNIX sockets")


@pytest.mark.parametrize("name", HEADERS)
def test_any_cut(name: str) -> None:
    header = HEADERS[name]
    for end in range(len(header)):
        assert parse(header[:end]) is None, end
    whole = parse(header)
    assert whole is not None and whole.size == len(header)
    assert parse(header + b"PROXY a\r\n") == whole


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name: str) -> None:
    with pytest.raises(BadHeader):
        parse(BROKEN[name])


@pytest.mark.parametrize("header", [b"PROXY TCP4 " + b"1" * 200, b"PROXY TCP4 1\rx", b"PROXI", b"\r\n\r\nx"])
def test_never_waits_for_what_cannot_become_one(header: bytes) -> None:
    with pytest.raises(BadHeader):
        parse(header)


@given(st.binary(max_size=MAX_V2 + 300), st.sampled_from([b"", b"PROXY ", HEADERS["binary"][:13]]))
def test_whatever_comes(data: bytes, start: bytes) -> None:
    try:
        found = parse(start + data)
    except BadHeader:
        return
    if found is None:
        assert len(start + data) < MAX_V2
    else:
        assert 0 < found.size <= len(start + data)
