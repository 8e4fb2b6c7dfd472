{{/*
Where each platform keeps the log, who owns it, the taints of its control-plane nodes beside
control-plane and master, and what SELinux wants. Sources: deploy/kube-apiserver/*.md.
*/}}
{{- define "k8s-audit-otlp.platforms" -}}
kubeadm: {log: /var/log/kubernetes/audit.log, user: 0, taints: []}
kind: {log: /var/log/kubernetes/audit.log, user: 0, taints: []}
kops: {log: /var/log/kubernetes/audit.log, user: 0, taints: []}
rke2:
  log: /var/lib/rancher/rke2/server/logs/audit.log
  user: 0
  taints: [node-role.kubernetes.io/etcd, CriticalAddonsOnly]
k3s:
  log: /var/lib/rancher/k3s/server/logs/audit.log
  user: 0
  taints: [node-role.kubernetes.io/etcd, CriticalAddonsOnly]
talos: {log: /var/log/audit/kube/kube-apiserver.log, user: 65534, taints: []}
openshift: {log: /var/log/kube-apiserver/audit.log, user: 0, taints: [], seLinux: {type: spc_t}}
{{- end -}}

{{- define "k8s-audit-otlp.platform" -}}
{{- index (include "k8s-audit-otlp.platforms" . | fromYaml) .Values.platform | toYaml -}}
{{- end -}}

{{- define "k8s-audit-otlp.log" -}}
{{- .Values.log.path | default (include "k8s-audit-otlp.platform" . | fromYaml).log -}}
{{- end -}}

{{/* The log's owner; nobody where there is no log. */}}
{{- define "k8s-audit-otlp.owner" -}}
{{- if ne .Values.mode "node" }}65534{{ else }}{{ (include "k8s-audit-otlp.platform" . | fromYaml).user | int64 }}{{ end -}}
{{- end -}}

{{- define "k8s-audit-otlp.user" -}}
{{- if hasKey .Values.runAs "user" }}{{ .Values.runAs.user | int64 }}{{ else }}{{ include "k8s-audit-otlp.owner" . }}{{ end -}}
{{- end -}}

{{- define "k8s-audit-otlp.group" -}}
{{- if hasKey .Values.runAs "group" }}{{ .Values.runAs.group | int64 }}{{ else }}{{ include "k8s-audit-otlp.owner" . }}{{ end -}}
{{- end -}}

{{- define "k8s-audit-otlp.seLinux" -}}
{{- $platform := include "k8s-audit-otlp.platform" . | fromYaml -}}
{{- .Values.seLinuxOptions | default (eq .Values.mode "node" | ternary $platform.seLinux dict) | default dict | toYaml -}}
{{- end -}}
