{{/*
Where each platform keeps the log, who owns it, and the taints of its control-plane nodes beside
control-plane and master. Sources: deploy/kube-apiserver/*.md.
*/}}
{{- define "k8s-audit-otlp.platforms" -}}
kubeadm: {log: /var/log/kubernetes/audit.log, user: 0, group: 0, taints: []}
kind: {log: /var/log/kubernetes/audit.log, user: 0, group: 0, taints: []}
kops: {log: /var/log/kubernetes/audit.log, user: 0, group: 0, taints: []}
rke2:
  log: /var/lib/rancher/rke2/server/logs/audit.log
  user: 0
  group: 0
  taints: [node-role.kubernetes.io/etcd, CriticalAddonsOnly]
k3s:
  log: /var/lib/rancher/k3s/server/logs/audit.log
  user: 0
  group: 0
  taints: [node-role.kubernetes.io/etcd, CriticalAddonsOnly]
talos: {log: /var/log/audit/kube/kube-apiserver.log, user: 65534, group: 65534, taints: []}
{{- end -}}

{{- define "k8s-audit-otlp.platform" -}}
{{- index (include "k8s-audit-otlp.platforms" . | fromYaml) .Values.platform | toYaml -}}
{{- end -}}

{{- define "k8s-audit-otlp.log" -}}
{{- .Values.log.path | default (include "k8s-audit-otlp.platform" . | fromYaml).log -}}
{{- end -}}

{{- define "k8s-audit-otlp.user" -}}
{{- $platform := include "k8s-audit-otlp.platform" . | fromYaml -}}
{{- if hasKey .Values.runAs "user" }}{{ .Values.runAs.user | int64 }}{{ else }}{{ $platform.user | int64 }}{{ end -}}
{{- end -}}

{{- define "k8s-audit-otlp.group" -}}
{{- $platform := include "k8s-audit-otlp.platform" . | fromYaml -}}
{{- if hasKey .Values.runAs "group" }}{{ .Values.runAs.group | int64 }}{{ else }}{{ $platform.group | int64 }}{{ end -}}
{{- end -}}
