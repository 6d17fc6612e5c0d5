"""What the embedded AWS says when it cannot do something: at once, in the protocol at hand, never with a 5xx.

The AWS SDKs retry a 5xx, the Terraform provider for minutes. A 400 with a code and a sentence ends the attempt and
tells the user which call is missing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.model import OperationNotFoundError
from flask import Response, request
from werkzeug.exceptions import HTTPException, NotFound

log = logging.getLogger("infra.local")

REQUEST_ID = "00000000-0000-0000-0000-000000000000"


BODY = "infra.body"
"""Where the application keeps a copy of the request's body: the stream has been read by the time that we ask."""

REST_JSON = frozenset({"elasticfilesystem", "eks", "batch", "lambda", "backup", "fsx", "imagebuilder"})
"""REST services that speak JSON; their GETs carry no content type to tell by."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as IAM would name it. A REST service's ``action`` is its method and path."""

    service: str
    action: str
    json: bool

    def __str__(self) -> str:
        return f"{self.service}:{self.action}"

    @classmethod
    def of(cls, environ: dict[str, Any]) -> Call:
        body: bytes = environ.get(BODY, b"")
        scope = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].partition(",")[0].split("/")
        service = scope[3] if len(scope) >= 4 else "aws"
        target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
        kind = str(environ.get("CONTENT_TYPE", ""))
        form = parse_qs(body.decode("utf-8", "replace")) if "form-urlencoded" in kind else {}
        query = form or parse_qs(str(environ.get("QUERY_STRING", "")))
        if target:
            action = target.rpartition(".")[2]
        elif "Action" in query:
            action = query["Action"][0]
        else:
            action = f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"
        return cls(service, action, bool(target) or "json" in kind or service in REST_JSON)

    @property
    def unsupported(self) -> str:
        """The error code with which AWS itself refuses an action that it does not know."""
        if self.service == "ec2":
            return "UnsupportedOperation"
        if self.service == "s3":
            return "NotImplemented"
        return "UnknownOperationException" if self.json else "InvalidAction"


def answer(error: Exception) -> Any:
    """Flask's handler of last resort for every service."""
    if isinstance(error, HTTPException) and type(error).__module__.startswith("moto"):
        return error  # an AWS error that moto raised on purpose
    call = Call.of(request.environ)
    if isinstance(error, NotImplementedError | OperationNotFoundError | NotFound):
        log.warning("not emulated: %s (%s)", call, error)
        return _response(call, call.unsupported, f"the embedded AWS does not emulate {call}{_detail(error)}")
    log.error("failed: %s", call, exc_info=error)
    return _response(call, "InternalFailure", f"the embedded AWS failed in {call}: {type(error).__name__}: {error}")


def unknown_service(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """A WSGI application for services that nobody emulates."""
    call = Call.of(environ)
    log.warning("not emulated: %s", call)
    return _response(call, call.unsupported, f"the embedded AWS does not emulate {call}")(environ, start_response)


def _detail(error: Exception) -> str:
    """What moto says of an action that it knows in part, such as the filter that it does not."""
    text = str(error).split(" yet.")[0]
    whole = not isinstance(error, NotImplementedError) or not text or "action has not been implemented" in text
    return "" if whole else f" in this form: {text}"


def _response(call: Call, code: str, message: str) -> Response:
    if call.json:
        data = {"__type": code, "message": message, "Message": message}
        # REST clients take both from the headers once they find the first there
        headers = {"x-amzn-ErrorType": code, "x-amzn-error-message": " ".join(message.split())}
        return Response(json.dumps(data), 400, headers, content_type="application/x-amz-json-1.1")
    text = escape(message)
    if call.service == "ec2":
        error = f"<Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors>"
        body = f"<Response>{error}<RequestID>{REQUEST_ID}</RequestID></Response>"
    elif call.service == "s3":
        body = f"<Error><Code>{code}</Code><Message>{text}</Message><RequestId>{REQUEST_ID}</RequestId></Error>"
    else:
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
        body = f"<ErrorResponse>{error}<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{body}', 400, content_type="text/xml")
