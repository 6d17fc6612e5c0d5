"""What AWS and the ways to it say: credentials, network, rights, quotas, things. See :mod:`infra.cloud.refusal`."""

from __future__ import annotations

from infra.cloud.refusal import Refusal
from infra.errors import AccessDenied, CloudError, ExpiredCredentials, NoCredentials, Throttled, Unreachable, UsageError

QUOTA = (
    "ask for more: aws service-quotas request-service-quota-increase{profile} --service-code {service} --quota-code "
    "{quota} --desired-value N (allow a day), or {instead}"
)


def _quota(service: str, quota: str, instead: str) -> str:
    return QUOTA.replace("{service}", service).replace("{quota}", quota).replace("{instead}", instead)


TABLE: tuple[Refusal, ...] = (
    # Credentials: what expired comes first, for the same message often ends in «no valid credentials».
    Refusal(
        "sso-expired",
        ExpiredCredentials,
        "the AWS SSO session has expired",
        "log in again: aws sso login{profile}",
        patterns=(
            r"SSO session (?:associated with this profile )?has expired",
            r"SSOProviderInvalidToken",
            r"SSO Token.*?(?:expired|does not exist|invalid)",
            r"Error loading SSO Token",
            r"failed to refresh cached credentials, (?:refresh )?cached SSO token",
            r"Token has expired and refresh failed",
        ),
        codes=("UnauthorizedSSOTokenError", "SSOTokenLoadError"),
    ),
    Refusal(
        "no-profile",
        NoCredentials,
        "there is no AWS profile {name}",
        "correct aws.profile in cluster.yaml or AWS_PROFILE, or make it: aws configure --profile {name}; "
        "what there is: aws configure list-profiles",
        patterns=(
            r"(?:config profile|shared config profile)[ ,(]+(?P<name>[^) ,]+)\)? could not be found",
            r"failed to get shared config profile, (?P<name>\S+)",
        ),
    ),
    Refusal(
        "no-credentials",
        NoCredentials,
        "no AWS credentials were found",
        "log in: aws sso login{profile}, or aws configure{profile}, or set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY; to try without an account: --endpoint local",
        "looked in the environment, ~/.aws and the instance's role",
        patterns=(
            r"no valid credential sources",
            r"NoCredentialProviders",
            r"Unable to locate credentials",
            r"no EC2 IMDS role found",
            r"static credentials are empty",
        ),
        codes=("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
    ),
    Refusal(
        "partial-credentials",
        NoCredentials,
        "the AWS credentials are incomplete",
        "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither",
        patterns=(r"Partial credentials found",),
    ),
    Refusal(
        "no-region",
        UsageError,
        "no AWS region was given",
        "name it in cluster.yaml: aws: {{regions: [us-west-2]}}",
        patterns=(
            r"You must specify a region",
            r"MissingRegion",
            r"Missing region configuration",
            r"Invalid AWS Region",
        ),
    ),
    Refusal(
        "clock",
        CloudError,
        "this machine's clock is wrong",
        "set the clock (timedatectl set-ntp true), then run the same command again",
        patterns=(r"Signature not yet current.*", r"Signature expired: \S+ is now earlier than.*"),
        codes=("RequestTimeTooSkewed", "RequestInTheFuture"),
    ),
    Refusal(
        "expired",
        ExpiredCredentials,
        "the AWS credentials have expired",
        "get new ones: aws sso login{profile}, or put new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
        "AWS_SESSION_TOKEN in the environment",
        codes=("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
    ),
    Refusal(
        "invalid-credentials",
        ExpiredCredentials,
        "AWS does not accept these credentials",
        "check the key id and secret, and that the key is active and of this account: aws sts get-caller-identity"
        "{profile}; temporary keys also need AWS_SESSION_TOKEN",
        codes=(
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "InvalidAccessKeyId",
            "AuthFailure",
            "InvalidToken",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "IncompleteSignature",
        ),
    ),
    Refusal(
        "region-disabled",
        AccessDenied,
        "the region is not enabled for this account",
        "enable it: aws account enable-region{profile} --region-name REGION (takes minutes), or leave it out of "
        "aws.regions",
        codes=("OptInRequired", "RegionDisabledException", "InvalidRegion"),
    ),
    # The network.
    Refusal(
        "no-host",
        Unreachable,
        "the name {host} cannot be looked up",
        "check the network and DNS; behind a proxy set HTTPS_PROXY",
        patterns=(r"lookup (?P<host>\S+?)(?: on \S+)?: (?:no such host|server misbehaving|i/o timeout)",),
    ),
    Refusal(
        "tls",
        Unreachable,
        "the connection is not trusted",
        "behind a proxy that opens TLS, set AWS_CA_BUNDLE (and SSL_CERT_FILE) to its certificate; check the clock",
        patterns=(r"x509: .*", r"tls: .*", r"certificate verify failed.*", r"SSL validation failed.*"),
    ),
    Refusal(
        "proxy",
        Unreachable,
        "the proxy does not answer",
        "correct or unset HTTPS_PROXY and HTTP_PROXY, or name the hosts to reach directly in NO_PROXY",
        patterns=(r"proxyconnect \S+.*", r"Failed to connect to proxy.*", r"Cannot connect to proxy.*"),
    ),
    Refusal(
        "refused-connection",
        Unreachable,
        "nothing answers at {host}",
        "check the address and that the server runs (infra local status, for the embedded AWS)",
        "connection refused",
        patterns=(r"dial tcp (?P<host>\S+?): connect: connection refused",),
    ),
    Refusal(
        "unreachable",
        Unreachable,
        "AWS cannot be reached",
        "check the network, then run the same command again: it goes on where it stopped",
        patterns=(
            r"network is unreachable",
            r"no route to host",
            r"(?:context|connection) deadline exceeded",
            r"Client\.Timeout exceeded",
            r"i/o timeout",
            r"connection reset by peer",
            r"connection refused",
            r"TLS handshake timeout",
            r"Could not connect to the endpoint URL.*",
            r"(?:Connect|Read) timeout on endpoint URL.*",
            r"Connection was closed before we received a valid response.*",
        ),
    ),
    # Rights.
    Refusal(
        "access-denied",
        AccessDenied,
        "AWS does not allow {action}",
        "ask who runs the account to allow {action} to the user or role you are (aws sts get-caller-identity"
        "{profile}){decode}",
        codes=(
            "AccessDenied",
            "AccessDeniedException",
            "UnauthorizedOperation",
            "UnauthorizedAccess",
            "AuthorizationError",
            "Client.UnauthorizedOperation",
            "NotAuthorized",
            "AllAccessDisabled",
            "Forbidden",
            "403",
        ),
    ),
    Refusal(
        "throttled",
        Throttled,
        "AWS answers too slowly for so many requests (throttling)",
        "wait a minute, then run the same command again: it goes on where it stopped; one region at a time: --region",
        patterns=(r"Rate exceeded", r"reached max retries.*[Tt]hrottl"),
        codes=(
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "RequestLimitExceeded",
            "EC2ThrottledException",
            "TooManyRequestsException",
            "PriorRequestNotComplete",
            "ProvisionedThroughputExceededException",
            "BandwidthLimitExceeded",
            "SlowDown",
            "429",
        ),
    ),
    # Capacity and quotas.
    Refusal(
        "no-capacity",
        CloudError,
        "AWS has no {type} free there now",
        "try again later, allow more zones or instance_types, or use a capacity reservation",
        patterns=(
            r"do not have sufficient (?P<type>[\w.-]+) capacity.*",
            r"no Spot capacity available that matches your request.*",
        ),
        codes=("InsufficientInstanceCapacity", "InsufficientCapacity", "InsufficientHostCapacity"),
    ),
    Refusal(
        "type-unsupported",
        CloudError,
        "the instance type is not offered in that zone",
        "leave the zone out, or choose another of instance_types; see which offer it: aws ec2 "
        "describe-instance-type-offerings{profile} --location-type availability-zone",
        patterns=(r"requested instance type \((?P<type>[^)]+)\) is not supported in your requested Availability Zone",),
    ),
    Refusal(
        "quota-vcpu",
        CloudError,
        "the account's quota of vCPUs for these machines is used up (it is {limit})",
        _quota("ec2", "CODE", "make the pool smaller; infra doctor names the quota's code and compares them all"),
        patterns=(r"current vCPU limit of (?P<limit>\d+) allows.*",),
        codes=("VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded"),
    ),
    Refusal(
        "quota-vpc",
        CloudError,
        "the region's quota of VPCs is used up",
        _quota("vpc", "L-F678F1CE", "delete one, or use an existing one: network.existing"),
        codes=("VpcLimitExceeded",),
    ),
    Refusal(
        "quota-address",
        CloudError,
        "the region's quota of elastic IP addresses is used up",
        _quota("ec2", "L-0263D0A3", "release one, or use nat: one"),
        codes=("AddressLimitExceeded",),
    ),
    Refusal(
        "quota-nat",
        CloudError,
        "the quota of NAT gateways is used up",
        _quota("vpc", "L-FE5A380F", "use nat: one"),
        codes=("NatGatewayLimitExceeded",),
    ),
    Refusal(
        "quota",
        CloudError,
        "a quota of the account is used up ({code})",
        "ask for more in the Service Quotas console, or make the cluster smaller",
        codes=(
            "LimitExceeded",
            "LimitExceededException",
            "ServiceQuotaExceededException",
            "VolumeLimitExceeded",
            "InternetGatewayLimitExceeded",
            "SecurityGroupLimitExceeded",
            "RulesPerSecurityGroupLimitExceeded",
            "NetworkInterfaceLimitExceeded",
            "SubnetLimitExceeded",
            "TooManyBuckets",
            "FileSystemLimitExceeded",
            "PlacementGroupLimitExceeded",
        ),
    ),
    # Things.
    Refusal(
        "bucket-taken",
        CloudError,
        "the bucket's name is taken by somebody else in the world",
        "choose another name in cluster.yaml: bucket names are shared by all AWS accounts",
        codes=("BucketAlreadyExists",),
    ),
    Refusal(
        "already-exists",
        CloudError,
        "it is there already: {message}",
        "was it made by an earlier run? run infra apply again, which adopts what carries our tags; otherwise remove "
        "or rename it",
        "AWS has something of that name which the state does not know ({code})",
        codes=(
            "BucketAlreadyOwnedByYou",
            "EntityAlreadyExists",
            "EntityAlreadyExistsException",
            "AlreadyExists",
            "AlreadyExistsFault",
            "ResourceAlreadyExistsException",
            "FileSystemAlreadyExists",
            "InvalidGroup.Duplicate",
            "InvalidKeyPair.Duplicate",
            "InvalidPlacementGroup.Duplicate",
            "InvalidPermission.Duplicate",
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "RouteAlreadyExists",
            "MountTargetConflict",
        ),
    ),
    Refusal(
        "in-use",
        CloudError,
        "it is still in use: {message}",
        "remove what uses it (machines or interfaces that infra did not make?), then run the same command again",
        "{code}",
        codes=(
            "DependencyViolation",
            "DeleteConflict",
            "DeleteConflictException",
            "ResourceInUse",
            "ResourceInUseFault",
            "ResourceInUseException",
            "InvalidGroup.InUse",
            "InvalidPlacementGroup.InUse",
            "VolumeInUse",
            "BucketNotEmpty",
            "FileSystemInUse",
            "ScalingActivityInProgress",
        ),
    ),
    Refusal(
        "aws-fault",
        CloudError,
        "AWS had a fault of its own ({code})",
        "wait a few minutes, then run the same command again: it goes on where it stopped",
        codes=(
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "Unavailable",
            "ServerInternal",
        ),
    ),
    Refusal(
        "not-emulated",
        CloudError,
        "the embedded AWS cannot do this: {message}",
        "plan it against AWS itself, or leave that part out with endpoint: local",
        "it emulates a part of AWS only",
        patterns=(r"(?P<message>the embedded AWS does not emulate .*?)(?: status code|$)",),
    ),
)
