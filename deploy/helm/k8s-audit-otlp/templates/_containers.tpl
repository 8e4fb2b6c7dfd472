{{/* No container may do more. */}}
{{- define "k8s-audit-otlp.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
{{- end -}}

{{- define "k8s-audit-otlp.secretEnv" -}}
{{- range $variable, $secret := .Values.secretEnv }}
- name: {{ $variable | quote }}
  valueFrom:
    secretKeyRef: {{- toYaml $secret | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "k8s-audit-otlp.env" -}}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- if and (eq .Values.mode "webhook") .Values.webhook.tokenSecret }}
- name: K8S_AUDIT_OTLP_WEBHOOK_TOKEN
  valueFrom:
    secretKeyRef: {{- toYaml .Values.webhook.tokenSecret | nindent 6 }}
{{- end }}
{{- include "k8s-audit-otlp.secretEnv" . }}
{{- range $variable, $value := .Values.env }}
- name: {{ $variable | quote }}
  value: {{ include "k8s-audit-otlp.text" $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The agent, or its doctor: (dict "root" $ "doctor" BOOL). */}}
{{- define "k8s-audit-otlp.agent" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $webhook := eq $values.mode "webhook" -}}
- name: {{ ternary "doctor" "agent" .doctor }}
  image: {{ include "k8s-audit-otlp.image" $root | quote }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  command: [k8s-audit-otlp]
  {{- $config := list "--config" "/etc/k8s-audit-otlp/config.yaml" }}
  {{- if .doctor }}
  args: {{- concat (list "doctor") $config $values.doctor.args | toYaml | nindent 4 }}
  {{- else }}
  {{- $watch := ternary (list "--watch-config") list $values.reloadOnChange }}
  args: {{- concat (list "run") $config $watch $values.extraArgs | toYaml | nindent 4 }}
  {{- end }}
  env: {{- include "k8s-audit-otlp.env" $root | nindent 4 }}
  {{- with $values.envFrom }}
  envFrom: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if not .doctor }}
  ports:
    - name: health
      containerPort: {{ $values.listen.port }}
      protocol: TCP
    {{- if $webhook }}
    - name: webhook
      containerPort: {{ $values.webhook.port }}
      protocol: TCP
    {{- end }}
  # A first start may list thousands of backups before it answers.
  startupProbe:
    httpGet: {path: /livez, port: health}
    periodSeconds: 5
    failureThreshold: 60
  livenessProbe:
    httpGet: {path: /livez, port: health}
    periodSeconds: 20
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    {{- if $webhook }}
    # Not /readyz: a back end that is down is no reason to take no more events.
    tcpSocket: {port: webhook}
    {{- else if ne $values.mode "node" }}
    # Not /readyz: a back end that is down would hold up the roll-out of what mends it.
    httpGet: {path: /livez, port: health}
    {{- else }}
    httpGet: {path: /readyz, port: health}
    {{- end }}
    periodSeconds: 10
    timeoutSeconds: 5
  {{- end }}
  securityContext:
    {{- include "k8s-audit-otlp.confined" . | nindent 4 }}
    privileged: false
    capabilities:
      drop: [ALL]
      {{- if $values.dacReadSearch }}
      add: [DAC_READ_SEARCH]
      {{- end }}
  resources:
    requests: {{- toYaml $values.resources.requests | nindent 6 }}
    limits: {{- merge (dict) $values.resources.limits (dict "memory" (include "k8s-audit-otlp.memory" $root)) | toYaml | nindent 6 }}
  volumeMounts: {{- include "k8s-audit-otlp.mounts" . | nindent 4 }}
{{- end -}}

{{- define "k8s-audit-otlp.mounts" -}}
{{- $values := .root.Values -}}
- name: config
  mountPath: /etc/k8s-audit-otlp
  readOnly: true
{{- if eq $values.mode "node" }}
- name: log
  mountPath: {{ dir (include "k8s-audit-otlp.log" .root) | quote }}
  readOnly: true
{{- else if and (eq $values.mode "webhook") $values.webhook.tls.secretName }}
- name: tls
  mountPath: /var/run/k8s-audit-otlp/tls
  readOnly: true
{{- end }}
- name: state
  mountPath: /var/lib/k8s-audit-otlp
{{- include "k8s-audit-otlp.fileMounts" .root }}
{{- with $values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What the configuration may name: policies, certificates, Secrets as files. */}}
{{- define "k8s-audit-otlp.fileMounts" -}}
{{- range $folder := list "policies" "certificates" }}
{{- if include "k8s-audit-otlp.sources" (dict "root" $ "folder" $folder) }}
- name: {{ $folder }}
  mountPath: /var/run/k8s-audit-otlp/{{ $folder }}
  readOnly: true
{{- end }}
{{- end }}
{{- range $number, $secret := $.Values.secretFiles }}
- name: secret-{{ $number }}
  mountPath: {{ printf "/var/run/secrets/k8s-audit-otlp/%s" $secret | quote }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "k8s-audit-otlp.fileVolumes" -}}
{{- range $folder := list "policies" "certificates" }}
{{- with include "k8s-audit-otlp.sources" (dict "root" $ "folder" $folder) }}
- name: {{ $folder }}
  projected:
    sources: {{- . | trim | nindent 6 }}
{{- end }}
{{- end }}
{{- range $number, $secret := $.Values.secretFiles }}
- name: secret-{{ $number }}
  secret:
    secretName: {{ $secret | quote }}
    defaultMode: 0444
{{- end }}
{{- end -}}

{{/* What a folder is put together from: the chart's ConfigMap, existing ones, Secrets. */}}
{{- define "k8s-audit-otlp.sources" -}}
{{- $from := index .root.Values .folder -}}
{{- if $from.inline }}
- configMap:
    name: {{ printf "%s-%s" (include "k8s-audit-otlp.name" .root) .folder | quote }}
{{- end }}
{{- range $from.configMaps }}
- configMap:
    name: {{ . | quote }}
{{- end }}
{{- range $from.secrets | default list }}
- secret:
    name: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "k8s-audit-otlp.volumes" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $name := include "k8s-audit-otlp.name" $root -}}
- name: config
  configMap:
    name: {{ $name | quote }}
    items:
      - {key: config.yaml, path: config.yaml}
{{- if and $values.collector.enabled (not .doctor) }}
- name: collector-config
  configMap:
    name: {{ $name | quote }}
    items:
      - {key: collector.yaml, path: collector.yaml}
{{- end }}
{{- if eq $values.mode "node" }}
- name: log
  hostPath:
    path: {{ dir (include "k8s-audit-otlp.log" $root) | quote }}
    type: Directory
- name: state
  hostPath:
    path: {{ $values.state.hostPath | quote }}
    type: DirectoryOrCreate
{{- else }}
{{- if .doctor }}
- name: state
  emptyDir: {}
{{- end }}
{{- if and (eq $values.mode "webhook") $values.webhook.tls.secretName }}
- name: tls
  secret:
    secretName: {{ $values.webhook.tls.secretName | quote }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- include "k8s-audit-otlp.fileVolumes" $root }}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* kubelet makes the directory of the state for root; this hands it over. */}}
{{- define "k8s-audit-otlp.set-owner" -}}
- name: set-owner
  image: {{ include "k8s-audit-otlp.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command:
    - python
    - -c
    - |
      import os
      state, owner = "/var/lib/k8s-audit-otlp", ({{ include "k8s-audit-otlp.user" . }}, {{ include "k8s-audit-otlp.group" . }})
      os.chmod(state, 0o700)
      os.chown(state, *owner)
  securityContext:
    runAsUser: 0
    runAsGroup: 0
    runAsNonRoot: false
    {{- include "k8s-audit-otlp.confined" . | nindent 4 }}
    capabilities:
      drop: [ALL]
      add: [CHOWN, FOWNER]
  resources:
    requests: {cpu: 10m, memory: 32Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - name: state
      mountPath: /var/lib/k8s-audit-otlp
{{- end -}}

{{/* Started before the agent and stopped after it, so that what is in flight can end. */}}
{{- define "k8s-audit-otlp.collector" -}}
- name: collector
  restartPolicy: Always
  image: {{ .Values.collector.image | quote }}
  args: [--config=/etc/collector/collector.yaml]
  {{- if .Values.secretEnv }}
  env: {{- include "k8s-audit-otlp.secretEnv" . | trim | nindent 4 }}
  {{- end }}
  securityContext:
    runAsUser: 10001
    runAsGroup: 10001
    runAsNonRoot: true
    {{- include "k8s-audit-otlp.confined" . | nindent 4 }}
    capabilities:
      drop: [ALL]
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {memory: {{ .Values.collector.memoryLimit }}}
  volumeMounts:
    - name: collector-config
      mountPath: /etc/collector
      readOnly: true
{{- end -}}
