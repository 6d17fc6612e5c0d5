"""What AWS and the ways to it say of who may come in: credentials, network, rights."""

from __future__ import annotations

from infra.cloud.refusals.refusal import Refusal
from infra.errors import AccessDenied, CloudError, ExpiredCredentials, NoCredentials, Throttled, Unreachable, UsageError

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
        "marketplace",
        AccessDenied,
        "the image is of the AWS Marketplace, and its terms were not accepted",
        "accept them on the page that AWS names, or use another image for the profile",
        patterns=(r"In order to use this AWS Marketplace product.*",),
    ),
    Refusal(
        "spot-role",
        AccessDenied,
        "the account has no role for spot machines yet, and you may not make it",
        "ask who runs the account for: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
        codes=("AuthFailure.ServiceLinkedRoleCreationNotPermitted",),
    ),
    Refusal(
        "account-pending",
        AccessDenied,
        "AWS is still checking this account",
        "wait for AWS's mail (up to 4 hours for a new account or region), then run the same command again",
        codes=("PendingVerification", "Blocked"),
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
)
