"""Tables of the index database.

Messages are keyed by `id = mailbox << 32 | uid`, so that a mailbox is one range of an integer key. `state` is
`keyword bits << 8 | system flags`, keyword bit n being the n-th name of `mailbox.keywords`.
"""

from typing import Final

VERSION: Final = 7  # PRAGMA user_version; a database of another version is made anew
FILE_NAME: Final = "pydovecot.index"

KEYWORD_SHIFT: Final = 8
MAX_KEYWORDS: Final = 54  # bits left in a signed 64-bit integer

TABLES: Final = f"""
CREATE TABLE mailbox (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,          -- the driver's name of it
  born INTEGER NOT NULL DEFAULT (random()),  -- tells this row from one of a database that was lost
  guid TEXT NOT NULL DEFAULT '',
  uidvalidity INTEGER NOT NULL DEFAULT 0,
  uidnext INTEGER NOT NULL DEFAULT 1,
  first_recent INTEGER NOT NULL DEFAULT 1,
  modseq INTEGER NOT NULL DEFAULT 1,  -- HIGHESTMODSEQ
  log_from INTEGER NOT NULL DEFAULT 0,  -- changes after this modseq are all in `log`
  gone_from INTEGER NOT NULL DEFAULT 0,  -- expunges after this modseq are all in `log`
  messages INTEGER NOT NULL DEFAULT 0,
  unseen INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,
  keywords TEXT NOT NULL DEFAULT '',  -- names by bit number, separated by blanks
  disk TEXT NOT NULL DEFAULT ''       -- what the driver last saw of its files
);
CREATE TABLE msg (
  id INTEGER PRIMARY KEY,
  state INTEGER NOT NULL,
  modseq INTEGER NOT NULL,
  name TEXT NOT NULL,                 -- the driver's name of the message
  received INTEGER, saved INTEGER, size INTEGER, psize INTEGER,
  guid TEXT, uidl TEXT
);
-- What changed when: ranges of UIDs. kind 0 new or changed, 1 expunged.
CREATE TABLE log (
  mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  PRIMARY KEY (mailbox, modseq, low, kind)
) WITHOUT ROWID;
-- Expunged messages, kept a while for views that were not told yet.
CREATE TABLE gone (
  id INTEGER PRIMARY KEY,
  modseq INTEGER NOT NULL,            -- of the expunge
  changed INTEGER NOT NULL,           -- of the last change before it
  name TEXT NOT NULL,
  received INTEGER, saved INTEGER, size INTEGER, psize INTEGER,
  guid TEXT, uidl TEXT
);
CREATE TABLE cache (
  id INTEGER PRIMARY KEY,
  envelope BLOB, body BLOB, bodystructure BLOB, sent INTEGER, sent_day INTEGER
);
-- Header fields that clients ask for, CRLF.
CREATE TABLE fields (id INTEGER PRIMARY KEY, data BLOB);
-- RFC 8970: the beginning of the text, as IMAP sends it.
CREATE TABLE preview (id INTEGER PRIMARY KEY, data BLOB);
-- RFC 8474: made from content when first asked for.
CREATE TABLE objectid (id INTEGER PRIMARY KEY, email_id BLOB, thread_id BLOB);
-- All UIDs and states as packed arrays, as of `modseq`: opening a mailbox reads this and the log behind it.
CREATE TABLE snapshot (mailbox INTEGER PRIMARY KEY, modseq INTEGER NOT NULL, uids BLOB, states BLOB);
-- What SORT and THREAD made of all messages: `messages` of them, up to `last_uid`. See storage.ordering.
CREATE TABLE kept (
  mailbox INTEGER NOT NULL, kind TEXT NOT NULL,
  messages INTEGER NOT NULL, last_uid INTEGER NOT NULL,
  uids BLOB NOT NULL, data BLOB NOT NULL
);
CREATE UNIQUE INDEX kept_kind ON kept (mailbox, kind);
PRAGMA user_version = {VERSION};
"""
