"""Images: a profile baked into AMIs. What is known of each stands in its tags; there is no other record."""
