"""A machine brought to its policy: preflight, client, policy, converge, restart, smoke test, record."""
