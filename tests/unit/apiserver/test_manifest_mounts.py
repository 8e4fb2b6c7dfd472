"""What is mounted for the audit log: the directory, no more than it takes, the right way round."""

from typing import Any

from k8s_audit_otlp.apiserver.manifest import patch
from k8s_audit_otlp.apiserver.settings import DEFAULTS
from tests.unit.apiserver.manifest_texts import (
    kubeadm,
    mount_of,
    paths_of,
)


def test_a_single_file_mount_of_the_log_becomes_its_directory() -> None:
    """Rotation renames the log; a mounted file cannot be renamed."""
    done = patch(
        kubeadm(
            mounts="    - {mountPath: /var/log/kubernetes/audit.log, name: log}\n",
            volumes="  - {name: log, hostPath: {path: /var/log/kubernetes/audit.log}}\n",
        ),
        {},
    )
    assert "/var/log/kubernetes/audit.log" not in paths_of(done.text)
    assert mount_of(done.text, "/var/log/kubernetes")[1]["hostPath"] == {
        "path": "/var/log/kubernetes",
        "type": "DirectoryOrCreate",
    }
    assert any("single-file" in note for note in done.notes)


def test_a_log_and_its_single_file_mount_right_in_var_log_move_to_a_directory_of_their_own() -> (
    None
):
    """All of /var/log, writable, is more than an apiserver needs."""
    done = patch(
        kubeadm(
            flags=["--audit-log-path=/var/log/audit.log"],
            mounts="    - {mountPath: /var/log/audit.log, name: audit}\n",
            volumes="  - {name: audit, hostPath: {path: /var/log/audit.log, type: FileOrCreate}}\n",
        ),
        {},
    )
    assert done.flags["audit-log-path"] == DEFAULTS["audit-log-path"]
    assert "/var/log/audit.log" not in done.text
    assert mount_of(done.text, "/var/log/kubernetes")


def test_a_single_file_from_a_wide_directory_does_not_widen_the_mount() -> None:
    """The directory around it on the node may be the root."""
    done = patch(
        kubeadm(
            mounts="    - {mountPath: /var/log/kubernetes/audit.log, name: log}\n",
            volumes="  - {name: log, hostPath: {path: /audit.log}}\n",
        ),
        {},
    )
    assert done.apiserver.log_path == "/var/log/kubernetes/audit.log"


def test_a_mount_of_all_of_etc_kubernetes_becomes_the_policy_alone() -> None:
    """admin.conf and the keys are none of the container's business."""
    wide: dict[str, Any] = {
        "mounts": "    - {mountPath: /etc/kubernetes, name: etc}\n",
        "volumes": "  - {name: etc, hostPath: {path: /etc/kubernetes, type: Directory}}\n",
    }
    done = patch(kubeadm(**wide), {})
    assert "/etc/kubernetes" not in paths_of(done.text)
    assert "/etc/kubernetes/pki" in paths_of(done.text)
    assert "name: etc" not in done.text


def test_a_wide_mount_that_another_flag_needs_is_kept_and_said() -> None:
    """Taking it away would stop the apiserver."""
    done = patch(
        kubeadm(
            flags=["--encryption-provider-config=/etc/kubernetes/encryption.yaml"],
            mounts="    - {mountPath: /etc/kubernetes, name: etc}\n",
            volumes="  - {name: etc, hostPath: {path: /etc/kubernetes, type: Directory}}\n",
        ),
        {},
    )
    assert "/etc/kubernetes" in paths_of(done.text)
    assert any("encryption.yaml" in note for note in done.notes)


def test_a_read_only_log_and_a_writable_policy_are_turned_round() -> None:
    """The half-right mounts of a first try by hand."""
    done = patch(
        kubeadm(
            mounts=(
                "    - {mountPath: /var/log/kubernetes, name: log, readOnly: true}\n"
                "    - {mountPath: /etc/kubernetes/audit-policy.yml, name: policy}\n"
            ),
            volumes=(
                "  - {name: log, hostPath: {path: /data/audit}}\n"
                "  - {name: policy, hostPath: {path: /data/policy.yml, type: FileOrCreate}}\n"
            ),
        ),
        {},
    )
    mount, volume = mount_of(done.text, "/var/log/kubernetes")
    assert not mount.get("readOnly")
    assert volume["hostPath"] == {"path": "/data/audit", "type": "DirectoryOrCreate"}
    mount, volume = mount_of(done.text, "/etc/kubernetes/audit-policy.yml")
    assert mount["readOnly"] is True
    assert volume["hostPath"] == {"path": "/data/policy.yml", "type": "File"}
    assert done.apiserver.log_path == "/data/audit/audit.log"
    assert done.apiserver.policy_path == "/data/policy.yml"


def test_a_policy_behind_a_mounted_directory_is_found_on_the_node() -> None:
    """The file mount points at where the policy really lies."""
    done = patch(
        kubeadm(
            flags=["--audit-policy-file=/audit/policy.yaml"],
            mounts="    - {mountPath: /audit, name: audit-policy}\n",
            volumes="  - {name: audit-policy, hostPath: {path: /opt/audit}}\n",
        ),
        {},
    )
    assert done.apiserver.policy_path == "/opt/audit/policy.yaml"
    mount, volume = mount_of(done.text, "/audit/policy.yaml")
    assert mount["name"] != "audit-policy"  # that name was taken
    assert volume["hostPath"]["path"] == "/opt/audit/policy.yaml"


def test_a_log_in_an_emptydir_moves_to_the_node() -> None:
    """A log that dies with its pod is no audit log."""
    done = patch(
        kubeadm(
            mounts="    - {mountPath: /var/log/kubernetes, name: log}\n",
            volumes="  - {name: log, emptyDir: {}}\n",
        ),
        {},
    )
    assert (
        mount_of(done.text, "/var/log/kubernetes")[1]["hostPath"]["path"] == "/var/log/kubernetes"
    )
