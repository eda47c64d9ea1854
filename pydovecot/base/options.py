"""Command line options of one letter, as getopt(3) takes them.

The standard library's getopt imports gettext: a third of the time in which an MTA's delivery can be over.
"""

TYPE_CHECKING = False  # typing's own costs milliseconds, too
if TYPE_CHECKING:
    from collections.abc import Sequence


class BadOption(Exception):
    """In getopt(3)'s words, which administrators know."""


def parse(argv: "Sequence[str]", letters: str) -> tuple[list[tuple[str, str]], list[str]]:
    """(letter, value) pairs in their order, and the words behind the options. In `letters` a colon
    follows what has a value: "a:e".

    Options end at the first word that is none, and behind "--". Raises BadOption.
    """
    found: list[tuple[str, str]] = []
    words = list(argv)
    while words and words[0].startswith("-") and words[0] != "-":
        cluster = words.pop(0)[1:]
        if cluster == "-":
            break
        while cluster:
            letter, cluster = cluster[0], cluster[1:]
            at = letters.find(letter)
            if at < 0 or letter == ":":
                raise BadOption(f"invalid option -- '{letter}'")
            if letters[at + 1 : at + 2] != ":":
                found.append((letter, ""))
                continue
            if not cluster and not words:
                raise BadOption(f"option requires an argument -- '{letter}'")
            found.append((letter, cluster or words.pop(0)))
            cluster = ""
    return found, words

