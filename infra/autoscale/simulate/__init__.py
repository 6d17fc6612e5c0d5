"""The simulator: work that arrives, a policy that buys machines for it, and what that costs. Pure; equal by seed."""
