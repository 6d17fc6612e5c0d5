"""Machines that fetch their policy themselves, and what they report."""
