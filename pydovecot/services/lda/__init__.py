"""lda: delivers for dovecot-lda, which an MTA starts for each message."""
