"""Numbers with names: a UID is not a sequence number."""

from typing import NewType

Uid = NewType("Uid", int)  # 1..2**32-1, RFC 3501 2.3.1.1
Seq = NewType("Seq", int)  # 1..EXISTS, RFC 3501 2.3.1.2
ModSeq = NewType("ModSeq", int)  # 1..2**63-1, RFC 7162 3.1
