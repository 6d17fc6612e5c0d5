"""The record of every apply, and the way back to one."""
