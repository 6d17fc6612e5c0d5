"""What things cost: dated list prices, fresh ones, and what a plan costs before and after."""
