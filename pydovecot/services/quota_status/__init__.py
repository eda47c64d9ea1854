"""Tells Postfix whose mailbox is full."""
