"""What is put into a cluster: Kubernetes objects made of a ``Cluster``, as raw JSON. Pure; no I/O."""
