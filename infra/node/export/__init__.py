"""The inventory for other programs."""
