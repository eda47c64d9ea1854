"""What lmtp and dovecot-lda share: a message on its way into a user's mailbox."""
