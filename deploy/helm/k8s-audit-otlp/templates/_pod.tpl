{{/* What a pod of the agent carries: labels, and a checksum that replaces it. */}}
{{- define "k8s-audit-otlp.podMetadata" -}}
labels: {{- include "k8s-audit-otlp.labels" (dict "root" . "more" .Values.podLabels) | nindent 2 }}
annotations:
  {{- if not .Values.reloadOnChange }}
  # A changed configuration replaces the pods; positions are outside of them.
  checksum/config: {{ print (include "k8s-audit-otlp.config" .) (toYaml .Values.collector) (toYaml .Values.policies) (toYaml .Values.certificates) | sha256sum }}
  {{- end }}
  {{- if .Values.podAnnotations }}
  {{- include "k8s-audit-otlp.texts" .Values.podAnnotations | nindent 2 }}
  {{- end }}
  kubectl.kubernetes.io/default-container: agent
{{- end -}}

{{/* A pod's spec: (dict "root" $ "doctor" BOOL). doctor looks once, at what the agent would have. */}}
{{- define "k8s-audit-otlp.pod" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $doctor := .doctor -}}
{{- $node := eq $values.mode "node" -}}
{{- $user := include "k8s-audit-otlp.user" $root | int64 -}}
{{- $group := include "k8s-audit-otlp.group" $root | int64 -}}
serviceAccountName: {{ include "k8s-audit-otlp.serviceAccount" $root | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- if and $values.imagePullSecrets (not $values.serviceAccount.create) }}
imagePullSecrets: {{- toYaml $values.imagePullSecrets | nindent 2 }}
{{- end }}
{{- if $doctor }}
restartPolicy: Never
{{- end }}
{{- if $values.priorityClassName }}
priorityClassName: {{ $values.priorityClassName | quote }}
{{- end }}
{{- if $values.runtimeClassName }}
runtimeClassName: {{ $values.runtimeClassName | quote }}
{{- end }}
terminationGracePeriodSeconds: {{ ternary $values.untilCaughtUp.gracePeriodSeconds $values.terminationGracePeriodSeconds $values.untilCaughtUp.enabled | int64 }}
{{- if $values.hostNetwork }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- if $values.nodeSelector }}
nodeSelector: {{- include "k8s-audit-otlp.texts" $values.nodeSelector | nindent 2 }}
{{- end }}
{{- $affinity := deepCopy $values.affinity }}
{{- if and $node (not $affinity.nodeAffinity) }}
{{- $_ := set $affinity "nodeAffinity" (include "k8s-audit-otlp.controlPlane" $root | fromYaml) }}
{{- end }}
{{- with $affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or $node $values.tolerations }}
tolerations:
  {{- if $node }}
  # Without an effect: NoSchedule and NoExecute alike.
  - key: node-role.kubernetes.io/control-plane
    operator: Exists
  - key: node-role.kubernetes.io/master
    operator: Exists
  {{- range (include "k8s-audit-otlp.platform" $root | fromYaml).taints }}
  - key: {{ . }}
    operator: Exists
  {{- end }}
  {{- end }}
  {{- with $values.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsUser: {{ $user }}
  runAsGroup: {{ $group }}
  runAsNonRoot: {{ ne $user 0 }}
  {{- if not $node }}
  fsGroup: {{ $group }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
  {{- with include "k8s-audit-otlp.seLinux" $root | fromYaml }}
  seLinuxOptions: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- $setOwner := and $node $values.state.setOwner }}
{{- $collector := and $values.collector.enabled (not $doctor) }}
{{- if or $setOwner $collector $values.extraInitContainers }}
initContainers:
  {{- if $setOwner }}
  {{- include "k8s-audit-otlp.set-owner" $root | nindent 2 }}
  {{- end }}
  {{- if $collector }}
  {{- include "k8s-audit-otlp.collector" $root | nindent 2 }}
  {{- end }}
  {{- with $values.extraInitContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
containers:
  {{- include "k8s-audit-otlp.agent" . | nindent 2 }}
  {{- if and $values.extraContainers (not $doctor) }}
  {{- toYaml $values.extraContainers | nindent 2 }}
  {{- end }}
volumes: {{- include "k8s-audit-otlp.volumes" . | nindent 2 }}
{{- end -}}

{{- define "k8s-audit-otlp.controlPlane" -}}
requiredDuringSchedulingIgnoredDuringExecution:
  nodeSelectorTerms:
    {{- range list "control-plane" "master" }}
    - matchExpressions:
        # Exists: the label's value is "", "true" or "etcd,controlplane", as the installer likes.
        - key: node-role.kubernetes.io/{{ . }}
          operator: Exists
        - key: k8s-audit-otlp/drained
          operator: DoesNotExist
    {{- end }}
{{- end -}}
