"""Why a group could not launch a machine: EC2's code, found in the words of its scaling activity. Pure."""

from __future__ import annotations

import re

# A group with a mixed-instances policy names EC2's code; one with a plain template has only the sentence.
_CODED = re.compile(r"Could not launch (?:Spot|On-Demand) Instances\. (?P<code>[A-Z][A-Za-z.]+)(?: - |\b)")
_SENTENCES = (
    (re.compile(r"do not have sufficient (?P<type>[a-z0-9-]+\.[a-z0-9-]+) capacity"), "InsufficientInstanceCapacity"),
    (re.compile(r"no Spot capacity available"), "InsufficientInstanceCapacity"),
    (re.compile(r"[Ii]nsufficient (?:instance )?capacity"), "InsufficientInstanceCapacity"),
    (re.compile(r"Unable to fulfill capacity"), "UnfulfillableCapacity"),
    (re.compile(r"more vCPU capacity than your current vCPU limit"), "VcpuLimitExceeded"),
    (re.compile(r"[Mm]ax spot instance count exceeded"), "MaxSpotInstanceCountExceeded"),
    (re.compile(r"more instances \(\d+\) than your current instance limit"), "InstanceLimitExceeded"),
    (re.compile(r"[Rr]eservation(?: does not have sufficient)? capacity"), "ReservationCapacityExceeded"),
    (re.compile(r"lower than the minimum required Spot request fulfillment price"), "SpotMaxPriceTooLow"),
    (re.compile(r"instance type \((?P<type>[a-z0-9.-]+)\) is not supported in your requested"), "Unsupported"),
)
_WORD = re.compile(r"\b(?:" + "|".join(sorted({code for _, code in _SENTENCES})) + r")\b")


def code_of(message: str) -> str:
    """EC2's error code in the message of a scaling activity; "" when there is none that we know."""
    if coded := _CODED.search(message):
        return coded["code"].rstrip(".")
    if said := next((code for pattern, code in _SENTENCES if pattern.search(message)), ""):
        return said
    return found[0] if (found := _WORD.search(message)) else ""
