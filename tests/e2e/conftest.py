"""Fixtures of the tests that need real engines or machines."""

from __future__ import annotations

from tests.bed.fixtures import bed, bed_root, machines
from tests.e2e.aws_fixtures import aws, aws_server
from tests.kube.fixtures import kube, kubectl

__all__ = ["aws", "aws_server", "bed", "bed_root", "kube", "kubectl", "machines"]
