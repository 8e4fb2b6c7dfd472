"""Values of the chart that nobody thinks of and the schema allows, in combinations by seed."""

import random
from collections.abc import Iterator
from typing import Any

HEX = "sha256:" + "0123456789abcdef" * 4
LONG = "a" * 62
ODD: dict[str, list[Any]] = {
    "platform": ["rke2", "talos", "openshift", "kops"],
    "clusterName": ["007", "true", 'quote"d: {x}', "$(x) ${env:NODE_NAME}", "ü", "1e3"],
    "nameOverride": [LONG, "0"],
    "fullnameOverride": [LONG + "a", "x", "true"],
    "commonLabels": [
        {"app.kubernetes.io/name": "other", "team": "", "number": 1000000, "yes": True}
    ],
    "commonAnnotations": [{"example.com/n": 1e21, "text": 'a: "b"\n- {c}', "off": False}],
    "image": [
        {"repository": "localhost:5000/a/b", "tag": "007"},
        {"repository": "x", "tag": "true", "digest": HEX, "pullPolicy": "Never"},
    ],
    "imagePullSecrets": [[{"name": "a.b-c"}, {"name": "7"}]],
    "log.path": ["/a/b", "/var/log/with space/audit.log", "/true/1.log", '/a\'b/"c".log'],
    "log.maxLineMiB": [1, 1024],
    "log.resource": [{"n": 1000000, "k8s.cluster.name": "ignored", "b": True, "": "empty"}],
    "log.attributes": [{"a.b": "#no comment", "big": 1e300}],
    "exporters": [{"sdk": {}, "otlp_grpc/a b/c": {"endpoint": "h:1"}, "kafka": {"topic": "${x}"}}],
    "service": [{"telemetry": {"logs": {"level": "debug"}}, "shutdown_timeout": "9s"}],
    "reloadOnChange": [True],
    "policies": [
        {"inline": {"a": "text: |\n  x\n", "b..yaml": {"rules": []}, "empty": ""}},
        {"configMaps": ["a.b", "1"]},
    ],
    "certificates": [{"inline": {"x": "-----\n\n  y"}, "configMaps": ["c"], "secrets": ["s.t"]}],
    "secretEnv": [{"_": {"name": "a.b", "key": "c.d_e", "optional": True}}],
    "secretFiles": [["a.b", "a-b", "1" * 200]],
    "env": [{"NUMBER": 1000000, "FLOAT": 0.5, "YES": True, "TEXT": "a\nb: $(x)", "EMPTY": ""}],
    "extraEnv": [[{"name": "a.b", "value": "1"}]],
    "envFrom": [[{"prefix": "P_", "configMapRef": {"name": "x", "optional": True}}]],
    "extraArgs": [["--log-level", "1e6", "", "{{ x }}"]],
    "extraVolumes": [[{"name": "more", "emptyDir": {"sizeLimit": "1Mi"}}]],
    "extraContainers": [[{"name": "second", "image": "x"}]],
    "extraInitContainers": [[{"name": "before", "image": "x"}]],
    "extraObjects": [
        [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "{{ .Release.Name }}-x"},
            },
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-y'}\n",
        ]
    ],
    "memoryBudgetMiB": [1, 4096],
    "resources": [
        {"requests": {"memory": "0.5Gi", "cpu": 1}, "limits": {"memory": "1.5G", "cpu": "1500m"}},
        {"requests": {"memory": 1}, "limits": {"memory": 1000000000}},
    ],
    "state": [{"hostPath": "/a b/c", "setOwner": True}],
    "runAs": [{"user": 4294967294 // 2, "group": 0}, {"group": 1000000}],
    "seLinuxOptions": [{"type": "spc_t", "level": "s0:c1,c2"}],
    "listen": [{"host": "[${env:POD_IP}]", "port": 65535}],
    "hostNetwork": [True],
    "nodeSelector": [{"a": True, "example.com/b": 1000000, "c": ""}],
    "affinity": [
        {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    ],
    "tolerations": [[{"operator": "Exists"}]],
    "topologySpreadConstraints": [
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]
    ],
    "podAnnotations": [{"a": 1000000, "b": True, "c": "x: y"}],
    "podLabels": [{"a": 1000000, "b": True, "app.kubernetes.io/instance": "other"}],
    "priorityClassName": ["", "system-cluster-critical"],
    "updateStrategy": [{"type": "OnDelete"}],
    "terminationGracePeriodSeconds": [1000000],
    "serviceAccount": [
        {"create": False},
        {"name": "a.b", "annotations": {"arn": "x:y/z", "n": 1000000}},
    ],
    "networkPolicy": [
        {"enabled": True, "egressPorts": [], "metricsFrom": [{"podSelector": {}}]},
        {"enabled": True, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
    ],
    "serviceMonitor": [{"enabled": True, "labels": {"n": 1}, "interval": "1m30s"}],
    "dashboards": [{"enabled": True, "labels": {"x": True}, "annotations": {"folder": 1}}],
    "prometheusRule": [{"enabled": True, "without": ["AuditAgentMissing", "unknown"]}],
    "namespace.create": [False],
}
OF_NODES: dict[str, list[Any]] = {
    "untilCaughtUp": [{"enabled": True, "gracePeriodSeconds": 1000000}],
}
OF_WEBHOOKS: dict[str, list[Any]] = {
    "webhook.port": [1, 65534],
    "webhook.replicas": [0, 3],
    "webhook.tokenSecret": [{"name": "a.b", "key": "c"}],
    "webhook.clusters": [{"A_b.c-1": {"resource": {"n": 1}}, "..x": {}}],
    "webhook.persistence": [
        {"size": "0.1Ti", "storageClassName": "fast.ssd", "annotations": {"n": 1000000}},
        {"size": 107374182400},
    ],
    "webhook.service": [
        {"type": "NodePort", "annotations": {"b": True}},
        {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]},
    ],
    "webhook.from": [[{"ipBlock": {"cidr": "192.0.2.0/24"}}]],
}


def combinations(number: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Yield values that the chart must render: about a third of the odd ones each time."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    for turn in range(number):
        values: dict[str, Any] = {
            "clusterName": "c",
            "image": {"repository": "registry.example/k8s-audit-otlp"},
            "exporters": {"otlp_http": {"endpoint": "https://siem.example:4318"}},
        }
        odd = {**ODD, **OF_NODES}
        if turn % 2:
            values |= {"mode": "webhook", "webhook": {"tls": {"secretName": "tls"}}}
            odd = {**ODD, **OF_WEBHOOKS}
        for path, choices in odd.items():
            if rng.random() < 1 / 3:
                put(values, path, rng.choice(choices))
        yield values


def put(values: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[last] = value
