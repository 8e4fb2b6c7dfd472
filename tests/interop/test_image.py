"""The image is built as `deploy/Dockerfile` says, and runs as anybody under a read-only root."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from k8s_audit_otlp import __version__
from tests.interop.image import Image
from tests.kit.log.events import EventSource

pytestmark = [pytest.mark.interop, pytest.mark.timeout(1500)]

USER = 12345
INSTALLED = """
import importlib.metadata as m, json
print(json.dumps(sorted(d.metadata["Name"] + "==" + d.version for d in m.distributions(path=PATH))))
""".replace("PATH", "[next(__import__('pathlib').Path('/app/lib').glob('*/site-packages'))]")
EXTRAS = """
import boto3, confluent_kafka, cryptography
for service in "logs", "sts", "sso", "sso-oidc":
    boto3.client(service, region_name="eu-central-1")
"""
BILL = "print(open('/app/share/k8s-audit-otlp/sbom.cdx.json').read())"
TRUSTED = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if os.geteuid() or not (shutil.which("buildah") and shutil.which("mmdebstrap")):
        pytest.skip("an image is built by root with buildah and mmdebstrap (Debian's packages)")
    made = Image(tmp_path_factory.mktemp("image"))
    try:
        made.build()
        yield made
    finally:
        made.remove()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a folder that the image's user owns, as a state directory is."""
    folder = tmp_path / "work"
    folder.mkdir()
    os.chown(folder, USER, 54321)
    return folder


def test_the_image_says_what_it_is_and_runs_the_agent_as_nobody(image: Image) -> None:
    """Labels of the OCI's names, with the package's own version."""
    config = image.config()
    labels = {key.rpartition(".")[2]: text for key, text in config["Labels"].items()}
    assert labels["title"] == "k8s-audit-otlp"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == __version__
    assert labels["revision"] == "unknown"  # the release workflow gives the commit
    assert config["User"] == "65534:65534"
    assert [*config["Entrypoint"], *config["Cmd"]] == [
        *("k8s-audit-otlp", "run", "--config", "/etc/k8s-audit-otlp/config.yaml")
    ]


def test_a_base_without_a_digest_is_refused(image: Image) -> None:
    """A tag is another image tomorrow."""
    with pytest.raises(RuntimeError, match="BASE has no digest"):
        image.bud("--build-arg", "UNPINNED_BASE=")


def test_the_image_takes_at_most_150_mb_unpacked(image: Image) -> None:
    """A third of that is pulled."""
    assert image.unpacked_bytes() < 150_000_000
    assert image.compressed_bytes() < 60_000_000


def test_the_image_has_no_shell_and_names_the_packages_that_its_files_are_from(
    image: Image, work: Path
) -> None:
    """Scanners read `status.d`; what a licence wants to be kept is kept."""
    names = image.names()
    programs = {name.rpartition("/")[2] for name in names if "usr/bin/" in f"/{name}"}
    assert {name.rstrip("0123456789.") for name in programs} == {"python"}
    listed = {name.rpartition("/")[2] for name in names if "dpkg/status.d/" in name}
    assert {"libc6", "libssl3t64", "ca-certificates", "tzdata"} <= listed
    assert "usr/share/doc/libc6/copyright" in names
    trusted = image.run(work, "python", "-c", TRUSTED)
    assert int(trusted.stdout) > 100, trusted.stderr


def test_nothing_is_compiled_at_a_start(image: Image, work: Path) -> None:
    """The root cannot be written, so each start would do it anew."""
    done = image.run(work, "python", "-v", "-c", "import k8s_audit_otlp.cli.actions.run, boto3")
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = re.findall(r"^# code object from '(.*)'$", done.stderr, re.MULTILINE)
    assert len(loaded) > 200
    assert [name for name in loaded if name.endswith(".py")] == []
    matcher = re.compile(r"/prefilter\.cpython-\d+\.hyperscan$")
    assert [name for name in image.names() if matcher.search(name)]


def test_the_demo_runs_under_a_read_only_root_as_anybody(image: Image, work: Path) -> None:
    """Only /tmp can be written."""
    touched = image.run(work, "python", "-c", "open('/app/x', 'w')")
    assert "Read-only file system" in touched.stderr
    done = image.run(work, "k8s-audit-otlp", "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0" in done.stdout


def test_a_log_is_delivered_once_by_its_owner(image: Image, work: Path) -> None:
    """`run --once` reads a log of mode 0600 and writes below its state directory only."""
    log = work / "audit.log"
    source = EventSource(1)
    log.write_bytes(b"".join(source.line() + b"\n" for _ in range(50)))
    log.chmod(0o600)
    os.chown(log, USER, 54321)
    config = {
        "receivers": {"k8s_audit": {"include": ["/mnt/audit.log"]}},
        "exporters": {"otlp_file": {"path": "/mnt/out.jsonl"}},
        "service": {"state_dir": "/mnt/state"},
    }
    (work / "config.yaml").write_text(yaml.safe_dump(config))
    done = image.run(work, "k8s-audit-otlp", "run", "--config", "/mnt/config.yaml", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    uids = (work / "out.jsonl").read_text().count('"auditID"')
    assert uids >= 50
    owners = {path.stat().st_uid for path in work.rglob("*") if path.name != "config.yaml"}
    assert owners == {USER}
    foreign = image.run(
        work, *("k8s-audit-otlp", "run", "--config", "/mnt/config.yaml", "--once"), user="7:7"
    )
    assert foreign.returncode != 0
    assert "ermission" in foreign.stdout + foreign.stderr


def test_the_optional_receivers_and_exporters_are_in_the_image(image: Image, work: Path) -> None:
    """Kafka, CloudWatch and sealing, also with most of AWS's services taken out."""
    done = image.run(work, "python", "-c", EXTRAS)
    assert done.returncode == 0, done.stderr


def test_the_encoder_of_plain_lines_is_the_compiled_one(image: Image, work: Path) -> None:
    """The compiler itself stays behind."""
    done = image.run(work, "python", "-c", "import k8s_audit_otlp.otlp._quick_line")
    assert done.returncode == 0, done.stderr
    assert not {name for name in image.names() if name.endswith(("/gcc", "/cc", "/cc1"))}


def test_the_bill_of_materials_lists_what_is_installed(image: Image, work: Path) -> None:
    """It lies in the image itself."""
    installed = json.loads(image.run(work, "python", "-c", INSTALLED).stdout)
    bill = json.loads(image.run(work, "python", "-c", BILL).stdout)
    assert bill["bomFormat"] == "CycloneDX"
    listed = {f"{c['name']}=={c['version']}" for c in bill["components"]}
    listed.add(f"{bill['metadata']['component']['name']}=={__version__}")
    assert {name.lower().replace("_", "-") for name in installed} == {
        name.lower().replace("_", "-") for name in listed
    }
