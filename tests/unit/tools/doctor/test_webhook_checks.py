"""How kube-apiserver posts to a webhook: what would be lost is said before it is."""

import base64
import re
import time
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from k8s_audit_otlp.apiserver.observed import Apiserver, audit_flags
from k8s_audit_otlp.apiserver.webhook import flags, kubeconfig
from k8s_audit_otlp.tools.doctor import apiserver_checks
from k8s_audit_otlp.tools.doctor.apiserver_facts import ApiserverFacts
from k8s_audit_otlp.tools.doctor.certificates import Certificates, ends_of, lasting
from k8s_audit_otlp.tools.doctor.findings import CheckResult, State
from k8s_audit_otlp.tools.doctor.webhook_checks import CHECKS
from tests.kit.backends.certificates import Authority

TABLE = {
    **apiserver_checks.CHECKS,
    **apiserver_checks.OF_A_LOG,
    **CHECKS,
}
MIB = 1 << 20
POLICY = "--audit-policy-file=/etc/policy.yaml"
LOG = "--audit-log-path=/var/log/kubernetes/audit.log"
POSTS = "--audit-webhook-config-file=/etc/webhook.yaml"
GIVEN_UP, BATCHES = "apiserver.webhook", "apiserver.webhook-batches"
FILE = "apiserver.webhook-file"
URL = "https://audit.example:9443/audit/prod"


def look(name: str, *more: str, most_body: int = 64 * MIB) -> CheckResult | None:
    found = audit_flags([POLICY, *(f"--audit-{one}" if one[:2] != "--" else one for one in more)])
    return TABLE[name](ApiserverFacts(Apiserver(found), Path("/"), most_body=most_body))


@pytest.mark.parametrize(
    ("name", "state", "said", "more"),
    [
        (GIVEN_UP, State.WARN, "within 81 s, and what does not fit into its buffer", [POSTS]),
        (GIVEN_UP, State.WARN, "within 8 s", [POSTS, "webhook-initial-backoff=1s"]),
        (GIVEN_UP, State.OK, "is in /var/log/kubernetes/audit.log", [POSTS, LOG]),
        (GIVEN_UP, State.WARN, "waits up to 81 s", [POSTS, LOG, "webhook-mode=blocking"]),
        (GIVEN_UP, State.WARN, "refuses", [POSTS, LOG, "webhook-mode=blocking-strict"]),
        (GIVEN_UP, State.FAIL, "is none", [POSTS, "webhook-mode=fast"]),
        (GIVEN_UP, State.FAIL, "no duration", [POSTS, "webhook-initial-backoff=soon"]),
        (BATCHES, State.OK, "at most 4,000 events/s, and 10,000 more", [POSTS]),
        (BATCHES, State.OK, "as fast", [POSTS, "webhook-batch-throttle-enable=false"]),
        (BATCHES, State.WARN, "at most 400 events/s", [POSTS, "webhook-batch-throttle-qps=1"]),
        (BATCHES, State.WARN, "and 50 more", [POSTS, "webhook-batch-buffer-size=50"]),
        (BATCHES, State.WARN, "over 6.6 KiB each", [POSTS, "webhook-batch-max-size=10000"]),
        (BATCHES, State.FAIL, "131072", [POSTS, "webhook-batch-max-size=200000"]),
        (BATCHES, State.FAIL, "no number", [POSTS, "webhook-batch-max-size=many"]),
        ("apiserver.truncation", State.WARN, "lose", [POSTS, "--audit-webhook-truncate-enabled"]),
    ],
)
def test_what_a_webhook_would_lose_is_said(
    name: str, state: State, said: str, more: list[str]
) -> None:
    """By the apiserver's own defaults, where a flag is not set."""
    found = look(name, *more)
    assert found is not None
    assert found.state is state
    assert said in found.why
    assert found.hint or state in {State.OK, State.SKIPPED}


@pytest.mark.parametrize("mode", ["batch", "blocking"])
def test_the_flags_that_are_printed_pass_beside_a_log(mode: str) -> None:
    """What the product asks for is what the doctor asks for."""
    for name in TABLE:
        found = look(name, LOG, *flags("/etc/webhook.yaml", mode))
        if found is not None and "webhook" in name and name != FILE:
            assert found.state is State.OK, found


def test_an_apiserver_that_only_posts_is_no_fault() -> None:
    """A hosted control plane writes no file."""
    for given, state in ((POSTS, State.OK), ("", State.FAIL)):
        found = look("apiserver.flags", given)
        assert found is not None
        assert found.state is state


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write what the product itself prints, with certificates of a trial."""
    authority = Authority(tmp_path, days=400)
    client = authority.issue("client", days=90)
    file = tmp_path / "webhook.yaml"
    names = {"cert_file": str(client.cert), "key_file": str(client.key)}
    file.write_text(kubeconfig(URL, ca_file=str(authority.cert), **names))
    return file


def found_in(
    file: Path, *, manifest: bool = True, inside: str = "", in_days: float = 0
) -> CheckResult:
    flags_ = {"audit-webhook-config-file": inside or str(file)}
    now = time.time() + in_days * 86_400
    apiserver = Apiserver(flags_, host_paths={inside: str(file)})
    found = TABLE[FILE](ApiserverFacts(apiserver, Path("/"), manifest=manifest, now=lambda: now))
    assert found is not None
    return found


def test_the_file_that_is_printed_passes(config: Path) -> None:
    """Where the apiserver is a container, its paths are looked for on the host."""
    found = found_in(config)
    assert found.state is State.OK
    assert found.why.startswith(f"it sends to {URL}; the certificate that it shows lasts until 2")
    config.write_text(config.read_text().replace(str(config.parent), "/etc/audit"))
    assert found_in(config, inside="/etc/audit/webhook.yaml").state is State.OK


@pytest.mark.parametrize(
    ("old", "new", "state", "said"),
    [
        ("current-context: audit", "current-context: x", State.FAIL, "current-context"),
        ("kind: Config", "kind: [", State.FAIL, "no kubeconfig"),
        ("/audit/prod", "", State.FAIL, "404"),
        ("https://audit.example:9443", "audit.example:9443", State.FAIL, "no address"),
        ("audit.example:9443", "audit.example:94x3", State.FAIL, "no kubeconfig"),
        ("https://", "http://", State.WARN, "clear text"),
        ("client-key:", "client-certificate:", State.FAIL, "cannot be used"),
        ("client.crt", "gone.crt", State.FAIL, "gone.crt is not there"),
        ("certificate-authority:", "insecure-skip-tls-verify:", State.WARN, "in between"),
        ("client-certificate:", "x:", State.WARN, "neither a certificate"),
        ("https://", "https://me:hunter2@", State.OK, "audit.example"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(
    config: Path, old: str, new: str, state: State, said: str
) -> None:
    """Each is what kube-apiserver does not start with, or what its events would not arrive by."""
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))
    found = found_in(config)
    assert found.state is state
    assert said in found.why
    assert "hunter2" not in found.why + found.hint


@pytest.mark.parametrize(
    ("in_days", "state", "said"),
    [
        (60, State.OK, "it sends to"),
        (80.2, State.WARN, "the certificate that it shows expires in 9 days"),
        (91, State.FAIL, "the certificate that it shows expired on 20"),
    ],
)
@pytest.mark.parametrize("as_data", [False, True])
def test_certificates_that_end_are_said_before(
    config: Path, in_days: float, state: State, said: str, *, as_data: bool
) -> None:
    """In a file beside it or within it; an authority that lasts is no matter."""
    if as_data:
        text = config.read_text()
        for name in ("certificate-authority", "client-certificate", "client-key"):
            path = re.search(rf"{name}: (.+)", text)
            assert path
            data = base64.b64encode(Path(path[1].strip('"')).read_bytes()).decode()
            text = text.replace(path[0], f"{name}-data: {data}")
        config.write_text(text)
    found = found_in(config, in_days=in_days)
    assert (found.state, said in found.why) == (state, True)


@pytest.mark.parametrize("days", [10, 9_000, 12_000])  # years of two digits, and of four
def test_the_end_of_a_certificate_is_read(tmp_path: Path, days: int) -> None:
    """A bundle of authorities holds others that have ended."""
    authority, old = Authority(tmp_path, days=days), Authority(tmp_path, "old", days=0.05)
    both = old.cert.read_text() + authority.cert.read_text()
    files = (old.cert, authority.cert)
    ends = [load_pem_x509_certificate(one.read_bytes()).not_valid_after_utc for one in files]
    assert ends_of(both) == [end.timestamp() for end in ends]
    now = time.time()
    found = lasting("it works", [Certificates("it", both, any_will_do=True)], now)
    assert found.state is (State.OK if days > 21 else State.WARN)
    assert f"{ends[1]:%Y-%m-%d}" in found.why
    assert lasting("it works", [Certificates("it", both)], now).state is State.FAIL


def test_a_file_of_another_host_is_not_looked_for(tmp_path: Path) -> None:
    assert found_in(tmp_path / "gone").state is State.FAIL
    assert found_in(tmp_path / "gone", manifest=False).state is State.SKIPPED
