"""Make a message smaller as long as the two servers still disagree about it."""

from collections.abc import Callable, Sequence

AT_ONCE = 48  # candidates that are asked about together
MOST_ASKED = 150  # batches; what is small enough by then will do
Differs = Callable[[Sequence[bytes]], list[bool]]


def minimise(message: bytes, differs: Differs) -> bytes:
    """The smallest message found; `differs` says of each candidate whether the trouble is still there."""
    size = max(1, len(message) // 2)
    at = 0  # where the next stretch to leave out begins
    left = MOST_ASKED
    while size and left:
        if at >= len(message):
            size //= 2
            at = 0
            continue
        left -= 1
        starts = range(at, len(message), size)[:AT_ONCE]
        candidates = [message[:start] + message[start + size :] or b"\n" for start in starts]
        # Some of those that are not needed one by one are not needed together.
        candidates.append(message[:at] + message[starts[-1] + size :] or b"\n")
        kept = [one for one, still in zip(candidates, differs(candidates), strict=True) if still]
        smaller = min(kept, key=len, default=message)
        if len(smaller) < len(message):
            message = smaller
        else:
            at = starts[-1] + size
    return message
