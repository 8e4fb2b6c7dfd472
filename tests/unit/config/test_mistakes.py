"""Every mistake of a file is reported at once: where, what, and the hint."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.config.load import load, load_text, load_tree
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.evidence.seal import make_key

ENV = {"TOKEN": "sesame", "NEWLINE": "ses\name", "SNOWMAN": "sesame ☃", "NUMBER": "7"}
HTTP = """\
receivers: {k8s_audit: {include: /var/log/audit.log}}
exporters:
  otlp_http/siem:
    endpoint: http://siem:4318
"""
SIEM = "exporters::otlp_http/siem"
TABLES = yaml.safe_load(Path(__file__).with_name("mistakes.yaml").read_text())


def _messages(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "agent.yaml", ENV)
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize("case", TABLES["in_an_exporter"], ids=lambda case: case["add"])
def test_a_mistake_in_an_exporter_is_one_message(case: dict[str, str]) -> None:
    """It is the only message, it has its line, and it shows no secret."""
    with pytest.raises(ConfigError) as caught:
        load_text(f"{HTTP}    {case['add']}\n", "agent.yaml", ENV)
    (mistake,) = caught.value.mistakes
    line = 3 if mistake.where == SIEM else 5
    assert str(caught.value) == f"agent.yaml:{line}: {SIEM}{case['says']}"
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("case", TABLES["whole_files"], ids=lambda case: case["file"])
def test_mistakes_in_a_file_are_one_message_each(case: dict[str, Any]) -> None:
    """Sections, ids, references between components, and syntax."""
    assert _messages(case["file"].replace("HTTP\n", HTTP)) == case["says"]


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    """One run of validate is enough to correct them all."""
    additions = ["timeout: 30", "compression: snappy", "tls: {cert_file: x}", "audit: {vendr: x}"]
    text = HTTP + "".join(f"    {one}\n" for one in additions) + "servce: {}\n"
    with pytest.raises(ConfigError) as caught:
        load_text(text, "agent.yaml", ENV)
    lines = [mistake.line for mistake in caught.value.mistakes]
    assert lines == [5, 6, 7, 8, 9]


def test_a_duplicate_key_is_reported_beside_the_others() -> None:
    """The tree is read on, so that nothing hides behind it."""
    messages = _messages(f"{HTTP}    timeout: 5s\n    timeout: 30\n")
    assert messages == [
        f"{SIEM}::timeout: the key is there twice, first in line 5; keep one of the two",
        f"{SIEM}::timeout: '30' has no unit; write 30s for seconds",
    ]


def test_a_path_that_is_a_directory_names_the_log_in_it(tmp_path: Path) -> None:
    """For a log, for a state directory that is a file, and for a file to write."""
    state, include = tmp_path / "state", "receivers::k8s_audit::include"
    state.touch()
    messages = _messages(
        f"receivers: {{k8s_audit: {{include: {tmp_path}}}}}\n"
        f"exporters: {{file: {{path: {tmp_path}}}}}\n"
        f"service: {{state_dir: {state}}}\n"
    )
    assert messages == [
        f"{include}: {tmp_path} is a directory; name the log in it: {tmp_path}/audit.log",
        f"exporters::file::path: {tmp_path} is a directory; write {tmp_path}/audit.jsonl",
        f"service::state_dir: {state} is not a directory; name a directory",
    ]


def test_no_directory_leads_through_a_file_or_to_nowhere(tmp_path: Path) -> None:
    """`run` cannot make it, or fails when it first needs it."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.touch()
    link.symlink_to(tmp_path / "nowhere")
    include, none = tmp_path / "audit.log", "is not a directory; name a directory"
    messages = _messages(
        f"receivers: {{k8s_audit: {{include: {include}, rescue_dir: {file}/a/b}}}}\n"
        f"exporters: {{file: {{path: {file}/audit.jsonl, create_directory: true}}}}\n"
        f"service: {{state_dir: {link}, evidence: {{seal_file: {link}/seals}}}}\n"
    )
    assert messages == [
        f"receivers::k8s_audit::rescue_dir: {file} {none}",
        f"exporters::file::path: {file} {none}",
        f"service::state_dir: {link} {none}",
        f"service::evidence::seal_file: {link} {none}",
    ]


@pytest.mark.parametrize("include", ["audit.log", "*.log", "link.log"])
def test_nothing_is_written_into_a_log_that_is_read(tmp_path: Path, include: str) -> None:
    """It would be read and written again without end."""
    log, link = tmp_path / "audit.log", tmp_path / "link.log"
    log.touch()
    link.symlink_to(log)
    messages = _messages(
        f"receivers: {{k8s_audit: {{include: {tmp_path}/{include}}}}}\n"
        f"exporters: {{file: {{path: {link}}}}}\n"
        f"service: {{evidence: {{seal_file: {log}}}}}\n"
    )
    said = "is an audit log that is read; name another file"
    assert messages == [
        f"exporters::file::path: {link} {said}",
        f"service::evidence::seal_file: {log} {said}",
    ]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("key", "is read for this configuration"),
        ("policy.yaml", "is read for this configuration"),
        ("token", "is read for this configuration"),
        ("link", "is read for this configuration"),
        ("state/checkpoint.json", "is a file of the agent's state"),
        ("state/positions", "is a file of the agent's state"),
        ("state/checkpoint.prev.tmp", "is a file of the agent's state"),
        ("seals", "is written by service::evidence::seal_file"),
        ("state/out.jsonl", ""),
    ],
)
def test_nothing_is_written_into_a_file_that_is_something_else(
    tmp_path: Path, output: str, said: str
) -> None:
    """Records went behind a private key, or were gone with the next checkpoint."""
    make_key(tmp_path / "key", None)
    (tmp_path / "policy.yaml").write_text(
        "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}"
    )
    (tmp_path / "token").write_text("sesame")
    (tmp_path / "link").symlink_to(tmp_path / "token")
    text = HTTP.replace("/var/log/audit.log", f"{tmp_path}/audit.log") + (
        f"    headers: {{authorization: '${{file:{tmp_path}/token}}'}}\n"
        f"    audit: {{policy: {tmp_path}/policy.yaml}}\n"
        f"  otlp_file: {{path: {tmp_path}/{output}}}\n"
        f"service: {{state_dir: {tmp_path}/state, evidence: "
        f"{{key_file: {tmp_path}/key, seal_file: {tmp_path}/seals}}}}\n"
    )
    if said:
        file = f"{tmp_path}/{output}"
        assert _messages(text) == [f"exporters::otlp_file::path: {file} {said}; name another file"]
    else:
        load_text(text, "agent.yaml", ENV)


def test_a_device_is_no_log() -> None:
    """It was said not to be there yet, and waited for."""
    (message,) = _messages(HTTP.replace("/var/log/audit.log", "/dev/null"))
    where = "receivers::k8s_audit::include"
    assert message == f"{where}: /dev/null is a pipe, socket or device; name the log file"


def test_an_exporter_of_the_sdk_that_is_not_installed_is_named() -> None:
    log = HTTP.partition("\n")[0]
    loaded = load_text(f"{log}\nexporters: {{sdk: {{exporter: nope}}}}\n", "agent.yaml", ENV)
    assert any("none of that name is installed" in remark.why for remark in loaded.remarks)


@pytest.mark.parametrize(
    "target", ["dns:collector:4317", "ipv4:127.0.0.1:4317,127.0.0.2:4317", "passthrough:a:1"]
)
def test_the_forms_of_names_that_grpc_has_are_taken(target: str) -> None:
    log = HTTP.partition("\n")[0]
    load_text(f"{log}\nexporters: {{otlp_grpc: {{endpoint: '{target}'}}}}\n", "agent.yaml", ENV)


def test_a_file_that_cannot_be_read_is_one_message(tmp_path: Path) -> None:
    """Missing, a directory, no text, not a configuration at all."""
    binary, big = tmp_path / "binary", tmp_path / "big"
    binary.write_bytes(b"\xff\xfe")
    big.write_bytes(b"#" * (5 << 20))
    expected = {
        tmp_path / "none": "there is no such file; check the path given with --config",
        tmp_path: f"is a directory; write {tmp_path}/agent.yaml",
        binary: "is not UTF-8 text; save it as UTF-8",
        big: "is over 4 MiB; give a configuration, not a log",
    }
    for path, message in expected.items():
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        assert str(caught.value) == f"{path}: {message}"


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["${env:TOKEN}", "${", "5s", "beginning", "http://a:1", "otlp_http"]),
)
_keys = st.sampled_from([
    "receivers", "exporters", "extensions", "service", "processors", "k8s_audit", "otlp_http",
    "otlp", "otlp_file", "sdk", "bearertokenauth", "include", "endpoint", "headers", "tls",
    "sending_queue", "batch", "audit", "pipelines", "logs", "retry_on_failure", "telemetry",
    "max_elapsed_time", "x", "auth", "authenticator", "compression_params", "level", "keepalive",
])  # fmt: skip
_trees = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4)
)


def _what_it_says(tree: dict[str, object]) -> str:
    try:
        load_tree(tree, "agent.yaml", {"TOKEN": "sesame"})
    except ConfigError as error:
        return str(error)
    return ""


@given(st.dictionaries(_keys, _trees, max_size=5))
def test_any_tree_is_a_configuration_or_a_config_error(tree: dict[str, object]) -> None:
    """Nothing else ever comes out, and no message shows a variable's value."""
    assert "sesame" not in _what_it_says(tree)


@pytest.mark.parametrize(
    ("logs", "as_json"),
    [
        ("{encoding: json}", True),
        ('{"level": "debug", "encoding": "json"}', True),
        ("\n      encoding: ${env:FORM}", True),
        ("\n      # for the collector of logs\n      encoding: json", True),
        ("{encoding: json}\nreceivers: [", True),  # no YAML, so nothing but its text is known
        ("{encoding: console} # encoding: json", False),
        ("{level: info}", False),
    ],
)
def test_a_configuration_with_mistakes_still_says_how_its_log_is_written(
    logs: str, as_json: bool
) -> None:
    """However it is laid out: whoever reads the lines takes one form only."""
    text = f"exporters: {{}}\nservice:\n  telemetry:\n    logs: {logs}\n"
    with pytest.raises(ConfigError) as refused:
        load_text(text, "agent.yaml", {"FORM": "json"})
    assert refused.value.json_logs is as_json
