"""Which machines there are, and what each says of itself."""
