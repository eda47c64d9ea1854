"""The transcript language must fail when answers differ, or the transcripts prove nothing."""

from pathlib import Path

import pytest

from tests.support import matcher, runner
from tests.support.transcript import Expect, Send, TranscriptError, parse


class Echo:
    """A connection with prepared answers."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.sent = b""

    def send(self, data: bytes) -> None:
        self.sent += data

    def receive(self) -> bytes:
        if not self.answers:
            raise TimeoutError
        return self.answers.pop(0)

    def close(self) -> None:
        pass


class OneServer:
    label = "memory"
    user = "someone"

    def __init__(self, *answers: bytes) -> None:
        self.connection = Echo(list(answers))

    def open(self, conn: int) -> Echo:
        return self.connection

    def close(self) -> None:
        pass


def play(tmp_path: Path, text: str, *answers: bytes, suffix: str = "imap") -> bytes:
    path = tmp_path / f"x.{suffix}"
    path.write_text(text)
    server = OneServer(*answers)
    runner.play(parse(path), server)
    return server.connection.sent


def test_same_answer(tmp_path: Path) -> None:
    assert play(tmp_path, "C: a NOOP\nS: a OK done\n", b"a OK d", b"one\r\n") == b"a NOOP\r\n"


@pytest.mark.parametrize("answer", [b"a OK don\r\n", b"a OK done \r\n", b"", b"* x\r\na OK done\r\n"])
def test_another_answer(tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(runner.Different):
        play(tmp_path, "C: a NOOP\nS: a OK done\n", answer)


def test_silence_and_surplus_are_differences(tmp_path: Path) -> None:
    with pytest.raises(runner.Different, match=r"\(nothing\)"):
        play(tmp_path, "C: a NOOP\nS: a OK\n")
    with pytest.raises(runner.Different, match="left over"):
        play(tmp_path, "C: a NOOP\nS: a OK\n", b"a OK\r\n* more\r\n")


def test_any_order_only_among_u_lines(tmp_path: Path) -> None:
    text = "C: a\nU: * 1\nU: * 2\nS: a OK\n"
    play(tmp_path, text, b"* 2\r\n* 1\r\na OK\r\n")
    with pytest.raises(runner.Different):
        play(tmp_path, text, b"* 2\r\na OK\r\n* 1\r\n")
    with pytest.raises(runner.Different):
        play(tmp_path, text, b"* 1\r\n* 1\r\na OK\r\n")


def test_literals_of_both_sides(tmp_path: Path) -> None:
    text = "C: a APPEND x {*}\nS: + OK\nL: one\nL- two\nC:  more\n"
    text += "S: * FETCH (BODY[] {*}\nL: x\nS: )\nS: a OK\n"
    sent = play(tmp_path, text, b"+ OK\r\n* FETCH (BODY[] {3}\r\nx\r\n)\r\na OK\r\n")
    assert sent == b"a APPEND x {8}\r\none\r\ntwo more\r\n"
    with pytest.raises(runner.Different):
        play(tmp_path, text, b"+ OK\r\n* FETCH (BODY[] {3}\r\ny\r\n)\r\na OK\r\n")


def test_line_ends_inside_literals_do_not_end_a_response(tmp_path: Path) -> None:
    play(tmp_path, "C: a\nS: * X {*}\nL: a OK\nS:\nS: a OK\n", b"* X {6}\r\na OK\r\n\r\na OK\r\n")


def test_placeholders() -> None:
    names: dict[bytes, bytes] = {}
    assert matcher.match(b"* %{#} EXISTS\r\n", b"* 12 EXISTS\r\n", names) == {}
    assert matcher.match(b"* %{#} EXISTS\r\n", b"* x EXISTS\r\n", names) is None
    assert matcher.match(b"V %{v:[0-9a-f]{2}}\r\n", b"V 0f\r\n", names) == {b"v": b"0f"}
    names[b"v"] = b"0f"
    assert matcher.match(b"W %{v}\r\n", b"W 0f\r\n", names) == {}
    assert matcher.match(b"W %{v}\r\n", b"W 0e\r\n", names) is None
    assert matcher.match(b"B {*}\r\n)\r\n", b"B {2}\r\nhi)\r\n", names) == {}
    assert matcher.substitute(b"FETCH %{v} %{x:00ff}", names) == b"FETCH 0f \x00\xff"


def test_timing_is_not_compared() -> None:
    assert matcher.normalise(b"a OK Done (0.001 + 0.000 + 0.010 secs).\r\n") == b"a OK Done.\r\n"


def test_lines_for_one_harness(tmp_path: Path) -> None:
    path = tmp_path / "x.imap"
    path.write_text("C: a\nS[dovecot]: b\nS[memory,ours]: c\n")
    transcript = parse(path)
    assert transcript.steps_for("dovecot") == [Send(1, 1, b"a\r\n"), Expect(2, 1, (b"b\r\n",))]
    assert transcript.steps_for("ours") == [Send(1, 1, b"a\r\n"), Expect(3, 1, (b"c\r\n",))]


@pytest.mark.parametrize("text", ["what is this", "@unknown x", "L: no literal\n", "@message\n"])
def test_mistakes_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.imap"
    path.write_text(text)
    with pytest.raises(TranscriptError, match=r"x\.imap|line 1"):
        parse(path)


def test_setup(tmp_path: Path) -> None:
    path = tmp_path / "x.imap"
    path.write_text(
        '@mailbox Trash\n@set a = b\n@message INBOX (\\Seen) "24-Nov-2026 06:02:01 +0000"\n| S: x\n|\n| é\n'
        "@generated Trash 2 seed=4\nC: a\n"
    )
    transcript = parse(path)
    first = transcript.messages[0]
    assert (first.mailbox, first.flags, first.body) == ("INBOX", ("\\Seen",), "S: x\r\n\r\né\r\n".encode())
    assert [message.mailbox for message in transcript.messages] == ["INBOX", "Trash", "Trash"]
    assert transcript.settings == ["a = b"] and transcript.mailboxes == ["Trash"]
