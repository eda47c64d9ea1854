"""Messages as clients store them, made comparable again."""


def without_headers(message: bytes, names: tuple[str, ...]) -> bytes:
    """Without header lines that a client adds to its copies, and with bare LFs."""
    starts = tuple(f"{name}:".lower().encode() for name in names)
    head, sep, rest = message.replace(b"\r\n", b"\n").partition(b"\n\n")
    return b"\n".join(line for line in head.split(b"\n") if not line.lower().startswith(starts)) + sep + rest
