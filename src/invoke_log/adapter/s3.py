"""Tools that create objects in S3, and never replace one: PUT with If-None-Match. SPEC §10 [PRF-1], [PRF-3]."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from invoke_log.adapter.http import failure_of
from invoke_log.errors import ConfigInvalidError, ReadUnclearError
from invoke_log.guard.outcome import DefiniteFailure, NeverSent

TAG_FIELD: Final = "invoke"
VERSIONS_MAX: Final = 10_000
PRECONDITION_FAILED: Final = "PreconditionFailed"


def once(client: Any) -> Any:  # noqa: ANN401 -- botocore makes its classes as it goes
    """Return a client that makes exactly one attempt. Where botocore would send a request again all the same, as to the
    region that it was told of, the request ends in a ConfigInvalidError that proves nothing.

    Raises: ConfigInvalidError: it makes more; botocore does, unless it is told otherwise.
    """
    retries = client.meta.config.retries or {}
    if retries.get("total_max_attempts") != 1:
        raise ConfigInvalidError(
            f"botocore: the client's retries are {retries!r}, want one attempt",
            hint='botocore.config.Config(retries={"total_max_attempts": 1})',
        )
    client.meta.events.register_first("request-created.s3", _refuse_again, unique_id="invoke-log once")
    return client


def _refuse_again(request: Any, **_: object) -> None:  # noqa: ANN401 -- as above
    if request.context["retries"]["attempt"] > 1:
        raise ConfigInvalidError(
            "botocore: would send the request again", hint="make the client for the bucket's region"
        )


@contextmanager
def proofs() -> Iterator[None]:
    """In this block, of one request, a failure to connect is `NeverSent`, and a 4xx a `DefiniteFailure` of its code,
    AccessDenied.

    PreconditionFailed stays as it is: it says that an object is there, not whose. So do a 409, any 5xx and the rest.
    """
    try:
        yield
    except (EndpointConnectionError, ConnectTimeoutError) as error:
        raise NeverSent(str(error)) from error
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if not code or code == PRECONDITION_FAILED or failure_of(status) is None:
            raise
        raise DefiniteFailure(code) from error


def object_under(client: Any, tag: str, *, bucket: str, key: str) -> list[str]:  # noqa: ANN401 -- as above
    """Return the version of an object that carries a tag, as `bucket/key?versionId=…`, or none after looking at all.

    Raises: ReadUnclearError: none, in a bucket without versions, or with a rule that removes them: an object that is
        gone would look the same. ClientError: no answer.
    """
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    every = (version for page in pages for version in page.get("Versions", []))
    versions = list(islice((version for version in every if version["Key"] == key), VERSIONS_MAX + 1))
    if len(versions) > VERSIONS_MAX:
        raise ReadUnclearError(f"s3: {key!r} has more than {VERSIONS_MAX} versions")
    found = []
    for version in versions:
        head = client.head_object(Bucket=bucket, Key=key, VersionId=version["VersionId"])
        if head["Metadata"].get(TAG_FIELD) == tag:
            found.append(f"{bucket}/{key}?versionId={version['VersionId']}")
    if not found and client.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        raise ReadUnclearError(f"s3: bucket {bucket!r} keeps no versions, and a deleted object leaves no trace")
    if not found and any(_removes_versions(rule) for rule in _lifecycle(client, bucket)):
        raise ReadUnclearError(f"s3: a lifecycle rule of bucket {bucket!r} removes versions, which leaves no trace")
    return found


def _lifecycle(client: Any, bucket: str) -> list[dict[str, Any]]:  # noqa: ANN401 -- as above
    try:
        rules: list[dict[str, Any]] = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchLifecycleConfiguration":
            return []
        raise
    return rules


def _removes_versions(rule: dict[str, Any]) -> bool:
    return rule["Status"] == "Enabled" and "NoncurrentVersionExpiration" in rule
