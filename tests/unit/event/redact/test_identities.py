"""Who someone is stays, also where an identity provider's id looks as a generator's word does."""

import json
from typing import Any

import pytest

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp.encode import Encoder
from tests.kit import strategies

IDS = (
    "00uid4BxXw6I6TV4m0g3",  # Okta
    "https://login.microsoftonline.com/0b1f/v2.0#AbeLiLyhV8aW2Q8ZmvG1xVv6m3pXkqS2fYc7hT9uWqE",
    "oidc:usr_2NNEqL2nrIRdJ194ndJqAHwEfxC",  # Clerk
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "ChUxMDM1NDc5OTE1OTcxNDI4MTczNDcSBmdvb2dsZQ",  # Dex
)
SECRETS = ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "password=hunter22hunter22")
EVENT: dict[str, Any] = {
    "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse",
    "auditID": "0d9b", "stage": "ResponseComplete", "requestURI": "/apis/a/v1/bs", "verb": "create",
}  # fmt: skip
REST = {"objectRef": {"resource": "bs", "apiGroup": "a", "apiVersion": "v1"}, **strategies.TIMES}
SENTENCE = (
    'pods is forbidden: User "{}" cannot list resource "pods" in API group "" at the cluster scope'
)


def places(who: str) -> dict[str, dict[str, Any]]:
    """Return events that say who someone is, by where."""
    asked = {**EVENT, "user": {"username": "a"}}
    binding = {"kind": "RoleBinding", "subjects": [{"kind": "User", "name": who}]}
    review = {"kind": "SubjectAccessReview", "spec": {"user": who, "uid": who}}
    refused = {"metadata": {}, "status": "Failure", "message": SENTENCE.format(who), "code": 403}
    return {
        "username": {**EVENT, "user": {"username": who}},
        "uid": {**EVENT, "user": {"username": "a", "uid": who}},
        "group": {**EVENT, "user": {"username": "a", "groups": [who]}},
        "extra": {**EVENT, "user": {"username": "a", "extra": {"example.com/sub": [who]}}},
        "impersonated": {**asked, "impersonatedUser": {"username": who}},
        "message": {**asked, "responseStatus": refused},
        "subject": {**asked, "requestObject": binding},
        "review": {**asked, "requestObject": review},
    }


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    processor = EventProcessor(None, Redactor())
    return Encoder(transform=processor, clean=processor.clean_parts())


def sent(encoder: Encoder, event: dict[str, Any]) -> str:
    line = json.dumps({**event, **REST}, separators=(",", ":")).encode()
    encoded = encoder.encode_block(Block(Span(0, 0, len(line)), "a", "audit.log", line, 1))
    return b"".join(encoded.records).decode("utf-8", "replace")


@pytest.mark.parametrize("who", IDS)
def test_who_someone_is_stays(encoder: Encoder, who: str) -> None:
    changed = [at for at, event in places(who).items() if "REDACTED" in sent(encoder, event)]
    assert changed == []


@pytest.mark.parametrize("secret", SECRETS)
def test_a_credential_in_its_place_does_not(encoder: Encoder, secret: str) -> None:
    value = secret.rpartition("=")[2]
    left = [at for at, event in places(secret).items() if value in sent(encoder, event)]
    assert left == []


def test_the_same_word_goes_where_it_says_who_nobody_is(encoder: Encoder) -> None:
    """In a path, and in what a sentence quotes of an object."""
    word = IDS[0]
    asked = {**EVENT, "user": {"username": "a"}, "requestURI": f"/api/v1/pods/{word}"}
    about = {"metadata": {}, "message": f'pods "{word}" not found', "code": 404}
    for event in (asked, {**EVENT, "user": {"username": "a"}, "responseStatus": about}):
        assert word not in sent(encoder, event)


@pytest.mark.parametrize(
    ("name", "stays"), [("accessKeyId", True), ("example.com/sub", False), ("accessKey", False)]
)
def test_which_key_of_aws_someone_used_stays_where_eks_says_it(
    encoder: Encoder, name: str, *, stays: bool
) -> None:
    """Investigations begin with it; anywhere else it may be half of a credential."""
    user = {"username": "kubernetes-admin", "extra": {name: ["ASIAIOSFODNN7EXAMPLE"]}}
    assert ("ASIAIOSFODNN7EXAMPLE" in sent(encoder, {**EVENT, "user": user})) is stays
