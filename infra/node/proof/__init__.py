"""What a machine is, signed by it, and side by side with others."""
