"""Connections: trusted, logged in, one script over one channel, many machines at once."""
