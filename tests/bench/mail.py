"""Makes the Maildirs of the benchmark once, and gives each server its own copy by hard links."""

import os
import random
import shutil
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from tests.support import oddheaders
from tests.support.mailgen import EPOCH, Generator
from tests.support.serverconf import ServerDir

BIG_MESSAGE_BYTES = 25_000_000
_SEED = 20


def messages(count: int, folder: Path | None) -> Iterator[bytes]:
    """`count` messages with CRLF: of the generator, or the files of a folder over and over."""
    if folder is None:
        generator = Generator(_SEED)
        for _ in range(count):
            yield generator.message()
        return
    files = sorted(path for path in folder.iterdir() if path.is_file())
    bodies = [path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path in files]
    yield from islice(cycle(bodies), count)


class Library:
    """The originals, by mailbox name."""

    def __init__(self, root: Path, folder: Path | None) -> None:
        self.root, self._folder = root, folder

    def maildir(self, count: int) -> Path:
        """A Maildir of `count` messages, as a delivery agent would have left it; flags on some."""
        path = self.root / f"maildir{count}"
        if not path.exists():
            _write(path, messages(count, self._folder))
        return path

    def discussion(self, count: int) -> Path:
        """A Maildir of `count` small messages of people who answer each other."""
        path = self.root / f"discussion{count}"
        if not path.exists():
            bodies = oddheaders.discussion(_SEED, count)
            _write(path, (body.replace(b"\n", b"\r\n") for body in bodies))
        return path

    def big(self) -> Path:
        """A Maildir with one message of 25 MB."""
        path = self.root / "maildirbig"
        if not path.exists():
            _write(path, iter([Generator(_SEED).big(BIG_MESSAGE_BYTES)]))
        return path

    def give(self, source: Path, place: ServerDir, user: str) -> None:
        """A copy for one user of one server, without indexes."""
        home = place.home(user)
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(source, home / "Maildir", copy_function=os.link)
        place.give_to_mail_user(home)


def _write(path: Path, bodies: Iterator[bytes]) -> None:
    source = random.Random(_SEED)
    for name in ("cur", "new", "tmp"):
        (path / name).mkdir(parents=True)
    for number, body in enumerate(bodies, 1):
        stored = body.replace(b"\r\n", b"\n")
        flags = source.choices(("S", "", "RS", "FS"), weights=(60, 25, 10, 5))[0]
        stamp = EPOCH + number * 600
        name = f"{stamp}.M{number}P7.bench,S={len(stored)},W={len(body)}:2,{flags}"
        file = path / "cur" / name
        file.write_bytes(stored)
        os.utime(file, (stamp, stamp))
