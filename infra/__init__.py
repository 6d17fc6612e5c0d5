"""Provision GPU machines, in the cloud and on the floor, and prove that they are all the same machine."""

__version__ = "0.1.0"
