"""Deliveries at once to one user, as anvil counts them; and anvil asked by a process that waits."""

import os
import socket
import threading
from collections import Counter
from pathlib import Path

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.ipc.anvil import AnvilQuestions
from pydovecot.services.lmtp.crowd import Crowd


def test_who_is_in_is_told_and_taken_back() -> None:
    read, write = os.pipe()
    counts: Counter[str] = Counter()
    crowd = Crowd(2, lambda name: counts[name], write)

    def told() -> list[str]:
        os.write(write, b"end\n")
        lines = os.read(read, 4096).decode().splitlines()[:-1]
        for line in lines:
            verb, pid, name = line.split("\t")
            assert pid == str(os.getpid())
            counts[name] += 1 if verb == "CONNECT" else -1
        return [line.split("\t")[0] for line in lines]

    assert crowd.enter("alice") and told() == ["CONNECT"]
    assert crowd.enter("alice") and told() == ["CONNECT"]
    assert not crowd.enter("alice") and crowd.enter("bob") and told() == ["CONNECT"]
    crowd.leave_last()
    assert told() == ["DISCONNECT"] and counts == {"lmtp/alice": 2, "lmtp/bob": 0}
    crowd.leave()
    assert told() == ["DISCONNECT"] * 2 and counts["lmtp/alice"] == 0
    crowd.leave()
    crowd.leave_last()
    assert told() == []
    assert Crowd(0, lambda name: 1 // 0, write).enter("alice") and told() == []
    os.close(read)
    os.close(write)


def test_anvil_is_asked(tmp_path: Path) -> None:
    path = str(tmp_path / "anvil")
    sink = ListSink()
    questions = AnvilQuestions(path, Event(sink))
    assert questions.lookup("lmtp/alice") == questions.lookup("lmtp/alice") == 0
    assert [text for _, text in sink.lines] == [f"anvil: {path}: No such file or directory"]  # said once
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        asked: list[bytes] = []

        def serve() -> None:
            for answers in ((b"7\n", b""), (b"x\n",)):  # the first connection ends after one answer
                client, _ = server.accept()
                with client, client.makefile("rb") as lines:
                    lines.readline()
                    for answer in answers:
                        asked.append(lines.readline())
                        client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert questions.lookup("lmtp/alice") == 7
        assert questions.lookup("lmtp/bob") == 0  # without an answer nobody is refused
        assert questions.lookup("lmtp/carol") == 0
        thread.join()
    assert asked == [b"LOOKUP\tlmtp/alice\n", b"LOOKUP\tlmtp/bob\n", b"LOOKUP\tlmtp/carol\n"]
    questions.close()
