"""A policy in an exporter leaves what kube-apiserver itself writes under that policy.

The same requests go to a server that writes everything and to one that has the policy. What an
exporter with the policy leaves of the first log is compared with the second log.
"""

import json
import os
import shutil
import time
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest

from k8s_audit_otlp.config.reading.policy_file import parse_policy
from k8s_audit_otlp.event.policy import Kept, Policy
from k8s_audit_otlp.model import AuditEvent
from tests.interop.apiserver.apiserver import TOKEN, ApiServer
from tests.interop.apiserver.requests import ASKS, TOKENS, send_all

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]

CACHE = Path.home() / ".cache" / "k8s-audit-otlp" / "bin"
PROGRAMS = ("etcd", "kube-apiserver")
EVERYTHING = """\
apiVersion: audit.k8s.io/v1
kind: Policy
rules: [{level: RequestResponse}]
"""
# What clauses the shipped policies lack: namespaces, names, wildcards of subresources, both levels
# of omitStages, an own choice of omitManagedFields.
CLAUSES = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [ResponseStarted]
omitManagedFields: true
rules:
- {level: None, resources: [{group: "", resources: [configmaps], resourceNames: [map]}], verbs: [patch]}
- {level: RequestResponse, namespaces: [shop], resources: [{group: apps, resources: ["*/scale"]}], omitManagedFields: false}
- {level: Request, resources: [{group: "", resources: ["pods/*"]}], omitStages: [RequestReceived]}
- {level: RequestResponse, users: [admin], resources: [{group: apps}, {group: "", resources: [pods]}]}
- {level: Metadata, namespaces: [""], resources: [{group: ""}]}
- {level: None, nonResourceURLs: ["/heal*", "/api"]}
- {level: Request, userGroups: [dev, "system:nodes"]}
- {level: Metadata, verbs: [create]}
"""  # noqa: E501
SHIPPED = ("recipe", "security-only", "mutations-only", "low-volume")
EXTENSION = "omitResponseCodes"  # kube-apiserver does not know it
# What differs from one run of a server to the next.
PASSING = frozenset(
    """
    uid resourceVersion creationTimestamp deletionTimestamp expirationTimestamp lastTransitionTime
    time requestReceivedTimestamp stageTimestamp token
    authentication.kubernetes.io/issued-credential-id
    """.split()  # noqa: SIM905 - a table of words reads better as words
)


def policy_text(name: str) -> str:
    if name == "clauses":
        return CLAUSES
    file = resources.files("k8s_audit_otlp.apiserver") / "policies" / f"{name}.yaml"
    return file.read_text()


def without_extension(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(EXTENSION))


@pytest.fixture(scope="module")
def programs() -> Path:
    folder = Path(os.environ.get("K8S_AUDIT_OTLP_BIN", CACHE))
    if missing := [name for name in PROGRAMS if not (folder / name).exists()]:
        pytest.skip(
            f"{folder} lacks {', '.join(missing)}; tests/interop/apiserver/kube/build.sh makes them"
        )
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a key with")
    return folder


def log_under(policy: str, programs: Path, folder: Path) -> list[bytes]:
    """Return the lines about our requests that a server with the policy writes."""
    folder.mkdir()
    (folder / "own-policy.yaml").write_text(policy)
    (folder / "own-tokens.csv").write_text(f'{TOKENS}{TOKEN},ready,9,"system:masters"\n')
    server = ApiServer(programs, folder)
    try:
        server.start(
            f"--audit-policy-file={folder}/own-policy.yaml",
            f"--token-auth-file={folder}/own-tokens.csv",
        )
        answers = dict(send_all(f"https://127.0.0.1:{server._port}"))
        wait_until_quiet(server.log)  # watches end on the server's side
    finally:
        server.stop()
    assert len(answers) == len(ASKS)
    assert {200, 201, 401, 403, 404, 409, 422} <= set(answers.values())
    return [line for line in server.log.read_bytes().splitlines() if b'"auditID":"ask-' in line]


def wait_until_quiet(log: Path) -> None:
    """Wait until nothing more is written about our requests; ready checks of the server go on."""
    end, before = time.monotonic() + 60, -1
    while (ours := log.read_bytes().count(b'"auditID":"ask-')) != before:
        assert time.monotonic() < end, "the log is never quiet"
        before = ours
        time.sleep(2)


@pytest.fixture(scope="module")
def everything(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return log_under(EVERYTHING, programs, tmp_path_factory.mktemp("everything") / "server")


def lasting(value: Any) -> Any:
    """Leave out what differs from run to run."""
    match value:
        case dict():
            return {
                key: lasting(member)
                for key, member in value.items()
                if key not in PASSING and not key.startswith("apiserver.latency.k8s.io/")
            }
        case list():
            return [lasting(item) for item in value]
        case _:
            return value


def by_request(lines: list[bytes]) -> dict[tuple[str, str], Any]:
    events = [json.loads(line) for line in lines]
    return {(event["auditID"], event["stage"]): lasting(event) for event in events}


def left_by(policy: Policy, lines: list[bytes]) -> list[bytes]:
    decoder = msgspec.json.Decoder(AuditEvent)
    left = []
    for line in lines:
        outcome = policy.apply(decoder.decode(line), line)
        if isinstance(outcome, Kept):
            left.append(outcome.line)
    return left


@pytest.mark.parametrize("name", [*SHIPPED, "clauses"])
def test_a_policy_in_the_exporter_does_what_it_does_in_the_apiserver(
    name: str, everything: list[bytes], programs: Path, tmp_path: Path
) -> None:
    """The same requests and stages stay, with the same level, bodies and annotations."""
    text = without_extension(policy_text(name))
    written = by_request(log_under(text, programs, tmp_path / "server"))
    ours = by_request(left_by(parse_policy(text, name), everything))
    assert written
    assert sorted(ours) == sorted(written)
    for request, event in written.items():
        assert ours[request] == event, ASKS[int(request[0][4:])]


def test_our_extension_leaves_out_its_codes_and_nothing_else(everything: list[bytes]) -> None:
    """What upstream has no word for is taken from what upstream would have left."""
    text = policy_text("low-volume")
    plain = by_request(left_by(parse_policy(without_extension(text), "plain"), everything))
    ours = by_request(left_by(parse_policy(text, "low-volume"), everything))
    gone = {
        request
        for request, event in plain.items()
        if event.get("responseStatus", {}).get("code") in (404, 409, 429)
    }
    assert gone
    assert set(ours) == set(plain) - gone
