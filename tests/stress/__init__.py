"""Many connections do random legal things, and every response must fit a model of the mailboxes."""
