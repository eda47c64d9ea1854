"""Three messages of our own that clients with a screen must show: text, encoded text, an attachment."""

import base64

NOTE = (
    b"From: Ann <ann@example.org>\r\nTo: bo@example.org\r\nSubject: Plain note\r\n"
    b"Date: Tue, 3 Feb 2026 08:00:00 +0000\r\nMessage-ID: <note@example.org>\r\n\r\n"
    b"The kettle is on the second shelf.\r\n"
)
GREETING = (
    b"From: =?utf-8?Q?J=C3=B6rg?= <joerg@example.org>\r\nTo: bo@example.org\r\n"
    b"Subject: =?utf-8?B?R3LDvMOfZSBhdXMgS8O2bG4=?=\r\nDate: Wed, 4 Feb 2026 09:30:00 +0100\r\n"
    b"Message-ID: <greeting@example.org>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/alternative; boundary=half\r\n\r\n"
    b"--half\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Sch=F6ne Gr=FC=DFe vom Fl=FC=DFchen\r\n"
    b"--half\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes("<p>Schöne <b>Grüße</b> vom Flüßchen</p>\n".encode()).replace(b"\n", b"\r\n")
    + b"--half--\r\n"
)
TABLE = bytes(range(256)) * 40
PARCEL = (
    b"From: Cy <cy@example.org>\r\nTo: bo@example.org\r\nSubject: A parcel\r\n"
    b"Date: Thu, 5 Feb 2026 10:00:00 +0000\r\nMessage-ID: <parcel@example.org>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=edge\r\n\r\n"
    b"--edge\r\nContent-Type: text/plain\r\n\r\nThe table is attached.\r\n"
    b'--edge\r\nContent-Type: application/octet-stream; name="table.bin"\r\n'
    b'Content-Disposition: attachment; filename="table.bin"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    + base64.encodebytes(TABLE).replace(b"\n", b"\r\n")
    + b"--edge--\r\n"
)
LETTERS = {"Plain note": NOTE, "Grüße aus Köln": GREETING, "A parcel": PARCEL}
LATE = (
    b"From: Di <di@example.org>\r\nTo: bo@example.org\r\nSubject: Just now\r\n"
    b"Date: Fri, 6 Feb 2026 11:00:00 +0000\r\nMessage-ID: <late@example.org>\r\n\r\nThe bus is late.\r\n"
)
