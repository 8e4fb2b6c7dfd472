"""Every option that takes a file, given what is none of its kind: it ends, and says which file."""

import gzip
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from k8s_audit_otlp.cli import main
from tests.kit.log.events import EventSource

CONFIG = """receivers: {k8s_audit: {include: [audit.log]}}
exporters: {otlp_http: {endpoint: "http://127.0.0.1:9"}}
service: {state_dir: state}
"""
PIPE = "pipe"  # waited for where standard input would be: a shell gives `<(...)` as one
# what is given for {} -> exit codes; a log that holds something else can be looked at all the same
OPTIONS = {
    "validate --config {}": {2},
    "status --config {}": {2, 3},
    "status --state-dir {}": {2, 3},
    "state list --state-dir {}": {2, 3},
    "state forget x --state-dir {}": {2, 3},
    "tap --state-dir {}": {2, 3},
    "reload --state-dir {}": {2, 3},
    "dead-letter list --state-dir {}": {0, 2, 3},
    "doctor --config {} --wait 0s": {2},
    "doctor --path {} --wait 0s": {0, 1},
    "doctor --path audit.log --manifest {} --wait 0s": {1},
    "doctor --path audit.log --collector-config {} --wait 0s": {1, 2},
    "doctor --path audit.log --kubeadm-config {} --wait 0s": {0, 1, 2},
    "doctor --path audit.log --apiserver-metrics {} --wait 0s": {0, 1, 2},
    "explain --event {}": {0, 1, 2},
    "explain --path {}": {0, 2},
    "explain --event audit.log --policy {}": {2},
    "verify --path {} --against uids": {2, 5, 8},
    "verify --path audit.log --against {}": {1, 2, 5},
    "evidence verify --against {}": {1, 2, 8},
    "evidence verify --against uids --key {}": {2},
    "apiserver patch {}": {2},
    "replay --config {} --exporter otlp_http --from 24h --dry-run": {2},
}  # fmt: skip
TAKES_A_PIPE = ("--config {}", "--event {}", "--against {}")
NAMES = (
    "nothing", "nothing/in", "empty", "empty/in", "blanks", "binary", "nul", "utf16", "latin1",
    "sparse", "loop", "dangling", PIPE, "folder", ".", "/", "", "x" * 300, "/dev/null",
    "/dev/zero", "/proc/self/mem", "torn.gz", "array.json", "number.json", "deep.json", "month13",
    "long", "page.html", "auditd.log", "vector.toml", "cert.pem", "table.csv", "bracket.log",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out one file of each kind."""
    here = tmp_path_factory.mktemp("hostile")
    texts = {
        "empty": "",
        "blanks": "  \n\n \n",
        "array.json": "[1,2]",
        "number.json": "42",
        "deep.json": "[" * 20_000,
        "month13": "a: 2026-13-45\n",
        "long": "x" * 100_000,
        "page.html": "<!DOCTYPE html><html><body>sign in</body></html>",
        "auditd.log": "type=SYSCALL msg=audit(1.1:2): a\n",
        "vector.toml": '[sources.k8s]\ntype = "file"\n',
        "cert.pem": "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n",
        "table.csv": "a,b\n1,2\n",
        "bracket.log": "[2026-01-02 03:04:05] INFO hello\n" * 3,
        "uids": "0011223344556677-0\n",
    }
    data = {
        "binary": bytes(range(255, 0, -1)) * 20,
        "nul": bytes(4096),
        "utf16": CONFIG.encode("utf-16"),
        "latin1": (CONFIG + "# \xe9\n").encode("latin-1"),
        "torn.gz": gzip.compress(CONFIG.encode())[:60],
        "audit.log": b"".join(EventSource(1).line() + b"\n" for _ in range(3)),
        "sparse": b"",
        **{name: text.encode() for name, text in texts.items()},
    }
    for name, content in data.items():
        (here / name).write_bytes(content)
    os.truncate(here / "sparse", 1 << 40)
    os.mkfifo(here / PIPE)
    (here / "folder").mkdir()
    (here / "loop").symlink_to("loop")
    (here / "dangling").symlink_to("nothing")
    return here


@pytest.mark.parametrize(("line", "codes"), OPTIONS.items(), ids=OPTIONS)
def test_whatever_is_named_it_ends_with_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, codes: set[int]
) -> None:
    """No traceback, no wait without end, and no file read whole that has no end."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("K8S_AUDIT_OTLP_CONFIG", raising=False)
    for name in NAMES:
        if name == PIPE and any(option in line for option in TAKES_A_PIPE):
            continue
        words = [word.replace("{}", name) for word in line.split()]
        done = CliRunner().invoke(main, words)
        said = f"{name[:20]}: {done.exit_code}: {done.output[:300]} {done.exception!r}"
        assert done.exception is None or isinstance(done.exception, SystemExit), said
        assert done.exit_code in codes, said
        if done.exit_code == 2:
            assert done.stdout == "", said
            for each in done.stderr.splitlines():
                assert each.startswith("k8s-audit-otlp: "), said
