"""Kubernetes: its API, the join of machines, and what is put into the cluster."""
