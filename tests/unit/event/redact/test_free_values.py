"""One pass over values of members that finds nothing: no member may think otherwise."""

import bisect
import itertools
import json
import random
import re
from typing import Any

import msgspec
import pytest

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.event.secrets.prefilter import NEEDLES
from k8s_audit_otlp.event.stages import Clean
from tests.kit.log.planted import PlantedLines

CLEAN = EventProcessor(None, Redactor()).clean_parts()
SIGNS = (
    *("=", ":", '"', "'", "\\", " ", "\n", "{", "}", "[", "]", "//", "@", "%3d", "&", "?", "|"),
    *("name", "value", "env", "data", "args", "f:", "k:", "v:", "map[", "JTI=", "hunter2", "a:b"),
)
IN_NO_ROW = re.compile(r"[@%=;#? \"\\\n]|/proxy/").search  # the encoder asks for each of these
PLACES = (
    ("annotations", "x/y"),
    ("user", "username"),
    ("responseStatus", "message"),
    ("responseStatus", "details", "args"),
    ("objectRef", "name"),
    ("userAgent",),
)


def plain_event() -> dict[str, Any]:
    return {
        "kind": "Event",
        "requestURI": "/api/v1/pods",
        "user": {"username": "jane", "groups": ["system:masters", "system:authenticated"]},
        "userAgent": "kubectl/v1.31.0 (linux/amd64) kubernetes/9edcffc",
        "objectRef": {"resource": "pods"},
        "responseStatus": {"metadata": {}, "code": 200},
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": 'RBAC: allowed by ClusterRoleBinding "edit"',
        },
    }


def is_free(members: dict[str, bytes]) -> bool:
    return CLEAN is not None and CLEAN.are_free(b",".join(members.values()))


def members_outside(line: bytes) -> dict[str, bytes]:
    """Split a line, without its bodies and its URI, of which the query is judged apart."""
    try:
        event = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return {
        name: bytes(value)
        for name, value in event.items()
        if not name.endswith("Object") and name != "requestURI"
    }


def judged_otherwise(members: dict[str, bytes]) -> list[str]:
    assert CLEAN
    return [name for name, value in members.items() if not CLEAN.member(name.encode(), value)]


def with_text(place: tuple[str, ...], text: str) -> bytes:
    event = plain_event()
    owner = event
    for name in place[:-1]:
        owner = owner.setdefault(name, {})
    owner[place[-1]] = text
    return json.dumps(event, separators=(",", ":")).encode()


def test_no_free_value_calls_for_a_look() -> None:
    make, rng = PlantedLines(7), random.Random(7)  # noqa: S311 # a seed tells which lines they were
    free = 0
    for _ in range(1500):
        words = rng.choices((*SIGNS, *NEEDLES), k=rng.randrange(1, 8))
        for line in (make().line, with_text(rng.choice(PLACES), "".join(words))):
            members = members_outside(line)
            some = [members, *({name: value} for name, value in members.items())]
            for each in filter(is_free, some):
                free += 1
                assert judged_otherwise(each) == []
    assert free > 3000


@pytest.mark.parametrize("place", PLACES, ids=".".join)
@pytest.mark.parametrize(
    "text", ["password=hunter2", '{"data":{"a":"aHVudGVyMg=="}}', "mysql -phunter2"]
)
def test_values_with_a_secret_are_not_free(place: tuple[str, ...], text: str) -> None:
    assert not is_free(members_outside(with_text(place, text)))


def test_a_plain_caller_is_free() -> None:
    assert is_free(members_outside(json.dumps(plain_event(), separators=(",", ":")).encode()))


@pytest.mark.parametrize(
    ("credential", "free"),
    [
        ("JTI=4f0c6e31-9a52-4c43-8f3c-0d2b5b1f7a61", True),
        ("JTI=4f0c6e31-9a52-4c43-8f3c-0d2b5b1f7a61 password=hunter2", False),
        ("JTI=hunter2", False),
    ],
)
def test_the_digest_of_a_credential_is_none(credential: str, *, free: bool) -> None:
    event = plain_event()
    extra = {"authentication.kubernetes.io/credential-id": [credential]}
    event["user"]["extra"] = extra
    assert is_free(members_outside(json.dumps(event, separators=(",", ":")).encode())) is free


def test_paths_judged_together_are_judged_no_more_leniently_than_alone() -> None:
    rng = random.Random(11)  # noqa: S311 # a seed tells which paths they were
    odd = (*SIGNS, *NEEDLES, "/proxy/a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6")
    known = free = 0
    for _ in range(200):
        clean = EventProcessor(None, Redactor()).clean_parts()
        assert clean
        assert CLEAN
        ends = [rng.choice(odd) if rng.random() < 0.1 else "" for _ in range(rng.randrange(40))]
        paths = [f"/api/v1/pods/{rng.getrandbits(32):x}{end}" for end in ends]
        together = [path.encode() for path in paths if not IN_NO_ROW(path)]
        doubted = doubtful(clean, together)
        free += not doubted
        known += len(together) - len(doubted)
        assert all(CLEAN.paths[path] for path in together if path not in doubted)
    assert known > 1000
    assert 5 < free < 150


def doubtful(clean: Clean, texts: list[bytes]) -> set[bytes]:
    """Return those that are doubted when all are looked at together."""
    rows = [text + b"\n" for text in texts]
    ends = list(itertools.accumulate(map(len, rows)))
    doubted: set[bytes] = set()

    def doubt(start: int, end: int) -> int:
        first, last = bisect.bisect_right(ends, start), bisect.bisect_left(ends, end)
        doubted.update(texts[first : last + 1])
        return ends[last] if last < len(ends) else end

    clean.find_doubtful(b"".join(rows), doubt)
    return doubted


def test_a_service_account_is_free() -> None:
    """Its groups and what a token says of its pod are in most lines: `system:serviceaccounts:x`."""
    name = "authentication.kubernetes.io/"
    user = {
        "username": "system:serviceaccount:shop:worker",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:shop", "system:nodes"],
        "extra": {
            name + "credential-id": ["JTI=f3cd0645-ea50-8097-7ceb-1b7b507fb32b"],
            name + "pod-name": ["worker-3e62550ba7-5"],
            name + "pod-uid": ["56e51af5-c607-987c-780b-60756deda758"],
        },
    }
    assert is_free({"user": json.dumps(user, separators=(",", ":")).encode()})


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/shop/secrets/db",
        "/api/v1/namespaces/shop/secrets?limit=500",
        "/api/v1/namespaces/shop/serviceaccounts/worker/token",
        "/api/v1/namespaces/shop/pods/web-7d4b9c6f5-x2x9z/exec",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests",
        "/apis/external-secrets.io/v1/namespaces/shop/externalsecrets/db",
    ],
)
def test_the_paths_of_a_cluster_are_judged_together(path: str) -> None:
    """A word of theirs among the needles of a form would make each one a look of its own."""
    clean = EventProcessor(None, Redactor()).clean_parts()
    assert clean
    assert not doubtful(clean, [path.partition("?")[0].encode()])
