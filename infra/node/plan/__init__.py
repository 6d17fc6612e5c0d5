"""What a plan has to say of machines, and how an apply does it."""
