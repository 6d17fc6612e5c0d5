"""The single values of ``cluster.yaml``: names, networks, sizes, versions."""

from __future__ import annotations

import ipaddress
import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

REGION = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"

# What each pattern means, in words: a message never shows a regular expression.
WORDS: dict[str, str] = {}


def _pattern(pattern: str, words: str, max_length: int | None = None) -> StringConstraints:
    WORDS[pattern] = words
    return StringConstraints(pattern=pattern, max_length=max_length)


def _network(value: str) -> str:
    try:
        net = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(_network_error(value)) from error
    if net.version != 4:
        raise ValueError("only IPv4 networks are supported")
    return str(net)


def _network_error(value: str) -> str:
    try:
        return f"it has bits set after its prefix; did you mean: {ipaddress.ip_network(value, strict=False)}"
    except ValueError:
        return "a network is written as an address and a prefix, such as 10.40.0.0/14"


def _fact(value: str) -> str:
    """A name of facts, ``section:key``, that does not stand for a whole section."""
    section, colon, key = value.partition(":")
    plain = key.partition("*")[0].removeprefix("/etc/").removeprefix("/usr/local/")
    if not colon or not re.fullmatch(r"[a-z-]+", section) or not key or ("*" in key and len(plain) < 3):
        raise ValueError(
            "it is a name as infra node verify shows it, such as sysctl:net.core.* or package:htop:amd64; "
            "a whole section (package:*) may not differ"
        )
    return value


_UNITS = {"": 1, "GB": 1, "GIB": 1, "G": 1, "TB": 1000, "TIB": 1024, "T": 1000}


def _gigabytes(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]{1,7})\s*([A-Za-z]*)\s*", value)
        if not match or match[2].upper() not in _UNITS:
            raise ValueError("a size is a number of GB, or a text such as 200GB or 1TB")
        return int(match[1]) * _UNITS[match[2].upper()]
    return value


_TIMES = {"m": 1, "h": 60, "d": 1440}


def _minutes(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]{1,5})\s*([mhd])(in|ours?|ays?)?\s*", value)
        if not match:
            raise ValueError("a time is a number of minutes, hours or days, such as 30m or 2h")
        return int(match[1]) * _TIMES[match[2]]
    return value


def _text(value: Any) -> Any:
    """Versions are often written without quotes: 580, 12.9. The document keeps how 1.30 was written."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def plain(value: Any) -> Any:
    """The value as plain JSON data: numbers that remember their text become numbers."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return str(value)


_NAME = r"^[a-z]([a-z0-9-]*[a-z0-9])?$"
_NAME_WORDS = "a name is lower-case letters, digits and dashes; it begins with a letter and does not end with a dash"
Name = Annotated[str, _pattern(_NAME, _NAME_WORDS, 32)]
RegionName = Annotated[str, _pattern(REGION, "an AWS region, such as us-west-2")]
ZoneName = Annotated[
    str,
    _pattern(r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$", "an availability zone is a region and a letter, such as us-east-2b"),
]
InstanceTypeName = Annotated[str, _pattern(r"^[a-z0-9-]+\.[a-z0-9-]+$", "an EC2 instance type, such as g4dn.xlarge")]
MountPoint = Annotated[
    str, _pattern(r"^/[A-Za-z0-9._/-]*$", "an absolute path of letters, digits, dots, dashes and underscores")
]
UserName = Annotated[
    str,
    _pattern(
        r"^[a-z_][a-z0-9_-]{0,31}$",
        "a login name is lower-case letters, digits, _ and -, begins with a letter, and has at most 32 characters",
    ),
]
Cidr = Annotated[str, AfterValidator(_network)]
Gigabytes = Annotated[int, BeforeValidator(_gigabytes, json_schema_input_type=int | str), Field(ge=1, le=64_000)]
Minutes = Annotated[int, BeforeValidator(_minutes, json_schema_input_type=int | str), Field(ge=5, le=1440)]
Version = Annotated[
    str,
    BeforeValidator(_text, json_schema_input_type=str | float),
    _pattern(r"^[0-9]+(\.[0-9]+){0,3}$", "a version is numbers with dots between them, such as 12.9", 24),
]
Account = Annotated[str, BeforeValidator(_text), _pattern(r"^[0-9]{12}$", "an AWS account's number, 12 digits")]
PublicKey = Annotated[
    str,
    _pattern(
        r"^(ssh|ecdsa|sk-)\S+ [A-Za-z0-9+/=]+( .*)?$",
        "a public key is one line: its type, its text in base64, and a comment (the .pub file)",
    ),
]
RunListItem = Annotated[
    str, _pattern(r"^(role|recipe)\[[a-z][a-z0-9_:-]*\]$", "a run-list item is role[name] or recipe[name]")
]
ImageId = Annotated[str, _pattern(r"^ami-[0-9a-f]{8,17}$", "an AMI id, such as ami-0123456789abcdef0")]
ReservationId = Annotated[
    str, _pattern(r"^cr-[0-9a-f]{8,17}$", "a capacity reservation's id, such as cr-0123456789abcdef0")
]
# 24 and 32 keep every name made of them within what AWS allows: an IAM role's 64, a load balancer's 32.
ClusterName = Annotated[str, _pattern(_NAME, _NAME_WORDS, 24)]
Fact = Annotated[str, AfterValidator(_fact)]
Share = Annotated[
    str,
    BeforeValidator(_text, json_schema_input_type=str | int),
    _pattern(r"^([1-9][0-9]{0,3}|[1-9][0-9]?%|100%)$", "so many machines, at least 1, or a part of them such as 25%"),
]
HostName = Annotated[
    str,
    _pattern(
        r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        "a host's name is lower-case letters, digits, dots and dashes, or a pattern such as titan-[01-08].lab",
        253,
    ),
]
KeyPrefix = Annotated[str, _pattern(r"^[A-Za-z0-9._/-]*$", "a prefix is letters, digits, dots, dashes and slashes")]
Sha256 = Annotated[str, _pattern(r"^[0-9a-f]{64}$", "a sha256 is 64 hexadecimal digits in lower case")]
Bucket = Annotated[str, StringConstraints(min_length=3, max_length=63)]
