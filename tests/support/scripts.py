# ruff: noqa: E501 - one message on one line reads best
"""Mail in several scripts, charsets and encodings, and words to look for in it. All written for these tests."""

import base64
import quopri

_TEXTS = {
    "german": ("iso-8859-1", "Grüße aus Köln: Straße, ÄÖÜ, naïve cafés"),
    "russian-koi8": ("koi8-r", "Привет, мир! Съешь ещё этих мягких французских булок."),
    "russian-1251": ("windows-1251", "Привет из Москвы, ёлка"),
    "greek": ("iso-8859-7", "Καλημέρα κόσμε, ΟΔΟΣ και οδός"),
    "japanese-iso2022": ("iso-2022-jp", "こんにちは世界。日本語のメール"),
    "japanese-sjis": ("shift_jis", "こんにちは、カタカナと漢字"),
    "chinese-gb": ("gb2312", "你好世界，中文邮件"),
    "chinese-big5": ("big5", "你好世界，繁體中文"),
    "korean": ("euc-kr", "안녕하세요 세계 한국어 메일"),
    "turkish": ("iso-8859-9", "İstanbul'da ışık ve İYİ günler"),
    "vietnamese": ("utf-8", "Xin chào thế giới, tiếng Việt"),
    "hebrew": ("iso-8859-8", "שלום עולם"),
    "arabic": ("windows-1256", "مرحبا بالعالم"),
    "thai": ("tis-620", "สวัสดีชาวโลก"),
    "polish": ("iso-8859-2", "Zażółć gęślą jaźń"),
    "compat": ("utf-8", "ﬁne ａｂｃ ① ½ ™ Ⅷ ǆ ĳ e\u0301 \u212b"),
    "utf7": ("utf-7", "siebenbit äöü €"),
    "ascii": ("us-ascii", "Only plain ASCII here, Hello World"),
}


def _mail(charset: str, text: str, encoding: str, kind: str = "plain") -> bytes:
    data = (text + "\r\n").encode(charset)
    if encoding == "base64":
        data = base64.encodebytes(data)
    elif encoding == "quoted-printable":
        data = quopri.encodestring(data)
    word = base64.b64encode(text[:20].encode(charset)).decode()
    quoted = "".join(f"={byte:02X}" for byte in text[:10].encode("utf-8"))
    head = (
        f'From: =?utf-8?Q?{quoted}?= <{kind}@example.org>\nTo: "List, The" <list@example.org>\n'
        f"Subject: =?{charset}?B?{word}?=\n =?{charset}?B?{word}?= end\nMIME-Version: 1.0\n"
        f"Date: Tue, 3 Mar 2020 23:30:00 -0500\nContent-Type: text/{kind}; charset={charset}\n"
        f"Content-Transfer-Encoding: {encoding}\n\n"
    )
    return head.encode() + data


_PARTS = (
    "From: a@example.org\nSubject: parts\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\npreamble word\n"
    "--o\nContent-Type: text/plain; charset=utf-8\n\nerster Teil größer\n--o\nContent-Type: application/octet-stream\n\n"
    "hiddenbinary\n--o\nContent-Type: message/rfc822\n\nSubject: inner subject\nX-Inner: headerword\n\ninner body\n"
    "--o\nContent-Type: text/plain\nContent-Transfer-Encoding: x-unknown\n\nunknownencoded\n"
    "--o\nContent-Disposition: attachment; filename=attached.txt\n\nuntyped text\n--o--\nepilogue word\n"
).encode()

SCRIPTS: dict[str, bytes] = {
    f"{name}-{encoding}": _mail(charset, text, encoding, kind)
    for name, (charset, text) in _TEXTS.items()
    for encoding, kind in (("8bit", "plain"), ("base64", "html"), ("quoted-printable", "plain"))
}
SCRIPTS["parts"] = _PARTS
SCRIPTS["raw-8bit-header"] = "From: jörg <j@x>\nSubject: größe\n\nkörper\n".encode()
SCRIPTS["latin1-undeclared"] = "Subject: größe\n\nkörper\n".encode("latin-1")
SCRIPTS["unknown-charset"] = (
    b"Subject: =?x-klingon?q?Hello_There?=\nContent-Type: text/plain; charset=x-klingon\n\nhello there\n"
)
SCRIPTS["broken-words"] = (
    b"Subject: =?utf-8?q?open =?utf-8?x?bad?= =?utf-8?q?a?==?utf-8?q?b?= =?utf-8?b?YWJj!!?=\nFrom: =?utf-8?q?x_y?= <=?utf-8?q?m?=@d>\n\nb\n"
)
SCRIPTS["folded"] = b"Subject: one\n two\n\tthree  four\nReceived: from a\n\tby b\n\nb\n"
SCRIPTS["qp-split"] = (
    b"Subject: q\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\nsplit=\nword =48idden =\n \nx = y =3D z\n"
)
SCRIPTS["base64-broken"] = (
    b"Subject: b\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\naGVsbG8\nd29ybGQ=\nIWF*ZnRlcg==\n"
)
SCRIPTS["words-cut-short"] = (
    b"Subject: =?iso-2022-jp?B?GyRCRnxLXDg=?= =?iso-2022-jp?B?GyRCRnxLXDgbKEJhYmM=?= =?euc-jp?B?xvzL3Lg=?= =??q?abc=E4?=\n"
    b"From: =?iso-8859-1\0?q?=E4?= =?iso88\xff591?q?=f6?= <a@b>\nTo: =?utf-8?q?=E2=82?= =?utf-8?q?=AC?= <c@d>\n=?utf-8?q?no=63olon?=\n\nb\n"
)
SCRIPTS["qp-cut-short"] = (
    b"Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\nq==\n41z =4=\n1y  \nlast=4"
)
SCRIPTS["encoding-and-more"] = (
    b'Content-Type: text/plain\nContent-Transfer-Encoding: base64"\n\naGVsbG8gd29ybGQ=\n'
)
SCRIPTS["type-and-more"] = b"Content-Type: text/plain\n\tmore\n\nhello notype\n"
SCRIPTS["ends-in-latin1"] = b"Subject: bye\n\nViele Gr\xfc\xdfe\n"  # \xfc promises more octets than there are
SCRIPTS["halfwidth-katakana"] = (
    b"Subject: =?ISO-2022-JP?B?GyhJSl02OBsoQg==?=\nContent-Type: text/plain; charset=iso-2022-jp\n\n\x1b(IJ]68\x1b(B and \x1b$B@$3&\x1b(B\n"
)
SCRIPTS["utf7-not-direct"] = b"Content-Type: text/plain; charset=utf-7\n\nback\\slash and ~ and +AFw-\n"
SCRIPTS["hebrew-points"] = b"Content-Type: text/plain; charset=windows-1255\n\n" + "\u05e9\u05bc\u05c1\u05dc\u05d5\u05b9\u05dd \u05d1\u05bc\n".encode("cp1255")
SCRIPTS["vietnamese-marks"] = (
    b"Subject: marks\nContent-Type: text/plain; charset=windows-1258\n\nTi\xea\xecng Vi\xea\xf2t, xin cha\xcco\n"
)
SCRIPTS["no-date"] = b"Subject: x\n\nb\n"
SCRIPTS["two-subjects"] = b"Subject: first one\nSubject: second one\n\nb\n"

WORDS = [
    "", "a", "hello", "HELLO", "grüße", "GRÜSSE", "köln", "koln", "straße", "strasse", "café", "cafe\u0301", "naive",
    "привет", "ПРИВЕТ", "мир", "ёлка", "елка", "ОДОС", "οδος", "οδός", "κοσμε", "日本", "こんにちは", "カタカナ", "ｶﾀｶﾅ",
    "你好", "中文", "世界", "안녕", "한국", "ᄒ", "istanbul", "İstanbul", "ışık", "IŞIK", "tieng", "tiếng", "thế", "the",
    "שלום", "مرحبا", "สวัสดี", "zażółć", "zazolc", "ﬁne", "fine", "ａｂｃ", "abc", "①", "1", "½", "™", "tm", "viii", "ǆ",
    "dž", "é", "å", "sechzehn", "sixteen", "siebenbit", "€", "preamble", "teil", "größer", "hiddenbinary", "inner",
    "headerword", "unknownencoded", "untyped", "attached", "epilogue", "there", "open", "bad", "tagged", "one two",
    "two three", "three four", "three  four", "from a by b", "splitword", "hidden", "x = y", "=3D", "helloworld", "hello",
    "world", "after", "first", "second", "list, the", "\"list, the\"", "<list", "list@example", "example.org>", "@",
    "text/html", "utf-8", "charset=", "subject:", "subject: ", "\\", "\"", "ab c", "  ", "abab",
    "q=41z", "41", "1y", "last", "notype", "nocolon", "日本語", "ö", "ä",
]  # fmt: skip
