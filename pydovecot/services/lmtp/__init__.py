"""lmtp: takes mail from an MTA and delivers it to its recipients."""
