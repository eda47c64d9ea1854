"""Descriptors over UNIX sockets."""

import os
import socket

import pytest

from pydovecot.base.fdpass import close_all, recv_fds, send_fds


def test_descriptor_and_data_arrive_together() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    with ours, theirs:
        assert send_fds(ours, b"hello", [write]) == 5
        data, fds = recv_fds(theirs, 100)
        assert data == b"hello"
        assert len(fds) == 1
        assert not os.get_inheritable(fds[0])
        os.write(fds[0], b"x")
        assert os.read(read, 1) == b"x"
        close_all([*fds, read, write])


def test_more_descriptors_than_wanted_are_closed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket() as one, socket.socket() as two:
        before = len(os.listdir("/proc/self/fd"))
        send_fds(ours, b"x", [one.fileno(), two.fileno(), one.fileno()])
        _data, fds = recv_fds(theirs, 10, max_fds=1)
        assert len(fds) == 1
        assert len(os.listdir("/proc/self/fd")) == before + 1
        close_all(fds)


def test_no_data_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ValueError, match="one byte"):
        send_fds(ours, b"", [0])


def test_end_of_stream() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        assert recv_fds(theirs, 10) == (b"", [])
