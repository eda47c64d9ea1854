"""Make a message smaller as long as the two servers still disagree about it."""

from collections.abc import Callable, Sequence

AT_ONCE = 48  # candidates that are asked about together
Differs = Callable[[Sequence[bytes]], list[bool]]


def minimise(message: bytes, differs: Differs, rounds: int = 60) -> bytes:
    """The smallest message found; `differs` says of each candidate whether the trouble is still there."""
    size = max(1, len(message) // 2)
    for _ in range(rounds):
        candidates = _smaller(message, size)
        kept = [one for one, still in zip(candidates, differs(candidates), strict=True) if still]
        if kept:
            message = min(kept, key=len)
            size = min(size, max(1, len(message) // 2))
        elif size > 1:
            size = max(1, size // 2)
        else:
            break
    return message


def _smaller(message: bytes, size: int) -> list[bytes]:
    """The message without a stretch of `size` octets, at many places; then without whole lines."""
    starts = range(0, len(message), size)
    if len(starts) > AT_ONCE:
        starts = range(0, len(message), max(size, len(message) // AT_ONCE))
    found = [message[:at] + message[at + size :] for at in starts]
    lines = message.splitlines(keepends=True)
    if 1 < len(lines) <= AT_ONCE:
        found += [b"".join(lines[:at] + lines[at + 1 :]) for at in range(len(lines))]
    return [one or b"\n" for one in dict.fromkeys(found) if one != message]
