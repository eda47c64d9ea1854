"""An exception with its traceback as one log line, innermost frame last."""

import traceback
from pathlib import PurePath
from typing import Final

MAX_FRAMES: Final = 12  # the way in is rarely longer; a recursion would fill the log


def one_line(exc: BaseException) -> str:
    """Type, text and the frames `file:line function` of an exception and of what caused it, on one line."""
    parts = [_one(exc)]
    seen = {id(exc)}
    cause = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    while cause is not None and id(cause) not in seen and len(parts) < 4:
        seen.add(id(cause))
        parts.append(_one(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return " <- ".join(parts)


def _one(exc: BaseException) -> str:
    frames = traceback.extract_tb(exc.__traceback__)[-MAX_FRAMES:]
    where = " > ".join(f"{PurePath(f.filename).name}:{f.lineno} {f.name}" for f in frames)
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text} [{where}]" if where else f"{type(exc).__name__}: {text}"
