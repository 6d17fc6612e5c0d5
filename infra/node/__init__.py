"""Machines that run, wherever they come from: found, trusted, reached, brought to their policy, proven equal."""
