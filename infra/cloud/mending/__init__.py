"""What a killed apply left: found by tag, adopted or removed; damaged files restored."""
