{{- define "memplane.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{/* What a pod needs of a node, for a component's pods or those of a check. */}}
{{- define "memplane.placement" -}}
{{- $s := .root.Values.scheduling -}}
{{- with $s.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $s.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- $class := default (ternary (include "memplane.fullname" .root) "" $s.priorityClass.create) $s.priorityClass.name }}
{{- with $class }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "memplane.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
# Volumes with many files would be walked at each start.
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{/* The command of a component's image, as the stack on one machine starts it. */}}
{{- define "memplane.command" -}}
{{- if eq .component "standalone" -}}
["/app/dist/memplane", "run"]
{{- else if and (eq .component "crdt-sync") .root.Values.redis.addresses -}}
["node", "--max-semi-space-size=8", "--env-file=/etc/memplane/redis.env", "/app/dist/services/crdt-sync.js"]
{{- else if eq .component "crdt-sync" -}}
["node", "--max-semi-space-size=8", "/app/dist/services/crdt-sync.js"]
{{- else -}}
["node", "/app/dist/services/{{ .component }}.js"]
{{- end -}}
{{- end -}}

{{/* What daprd is told on one machine by its command line, by annotations here. */}}
{{- define "memplane.sidecar" -}}
{{- $v := .root.Values -}}
dapr.io/enabled: "true"
dapr.io/app-id: {{ .component }}
dapr.io/app-port: {{ .facts.ports.http | int | quote }}
dapr.io/app-protocol: http
dapr.io/config: {{ .component }}
dapr.io/api-token-secret: {{ $v.secrets.prefix }}-{{ .component }}-api
dapr.io/app-token-secret: {{ $v.secrets.prefix }}-{{ .component }}-app
# A sidecar that knows that its application is gone takes no messages for it.
dapr.io/enable-app-health-check: "true"
dapr.io/app-health-check-path: /healthz
dapr.io/app-health-probe-interval: "1"
dapr.io/app-health-probe-timeout: "900"
dapr.io/app-health-threshold: "4"
dapr.io/max-body-size: 8Mi
dapr.io/graceful-shutdown-seconds: "5"
# It starts before its application and ends after it, so that what is drained still gets through.
dapr.io/enable-native-sidecar: "true"
# No pod has a token for the cluster; what sidecars need to know they are given.
dapr.io/disable-builtin-k8s-secret-store: "true"
dapr.io/sidecar-seccomp-profile-type: RuntimeDefault
dapr.io/log-level: {{ $v.dapr.logLevel }}
dapr.io/log-as-json: "true"
dapr.io/sidecar-cpu-request: {{ $v.dapr.resources.requests.cpu | quote }}
dapr.io/sidecar-cpu-limit: {{ $v.dapr.resources.limits.cpu | quote }}
dapr.io/sidecar-memory-request: {{ $v.dapr.resources.requests.memory | quote }}
dapr.io/sidecar-memory-limit: {{ $v.dapr.resources.limits.memory | quote }}
{{- if eq .component "materializer" }}
dapr.io/volume-mounts: "secrets:/memplane/secrets"
{{- end }}
{{- end -}}

{{/* The pod template of a component: with `.root`, `.component`, `.facts`, `.values`. */}}
{{- define "memplane.pod" -}}
{{- $v := .root.Values -}}
{{- $selector := include "memplane.selector" (dict "root" .root "component" .component) -}}
{{- $ownRedis := and (eq .component "crdt-sync") (not $v.redis.addresses) -}}
{{- $files := include "memplane.files" . | fromYaml -}}
metadata:
  labels: {{- include "memplane.labels" (dict "root" .root "component" .component) | nindent 4 }}
{{- if or $v.podAnnotations (ne .component "standalone") }}
  annotations:
{{- end }}
{{- if ne .component "standalone" }}
{{- include "memplane.sidecar" . | nindent 4 }}
    # Components, rights and limits are read by sidecars at their start.
    memplane/dapr-digest: {{ include "memplane.daprDigest" .root }}
{{- end }}
{{- if eq .component "crdt-sync" }}
    memplane/redis-digest: {{ include "memplane.redisFiles" .root | sha256sum | trunc 16 | quote }}
{{- end }}
{{- with $v.podAnnotations }}
{{- toYaml . | nindent 4 }}
{{- end }}
spec:
  serviceAccountName: {{ include "memplane.fullname" .root }}-{{ .component }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "memplane.graceSeconds" (dict "drainTimeoutMs" .values.drainTimeoutMs "preStopSeconds" $v.preStopSeconds) }}
  securityContext: {{- include "memplane.podSecurity" . | nindent 4 }}
{{- with $v.image.pullSecrets }}
  imagePullSecrets:
{{- range . }}
    - name: {{ . }}
{{- end }}
{{- end }}
{{- with include "memplane.placement" . }}
{{- . | nindent 2 }}
{{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: {{ $v.scheduling.topologyKey }}
      whenUnsatisfiable: {{ $v.scheduling.whenUnsatisfiable }}
      labelSelector: { matchLabels: {{ $selector | fromYaml | toJson }} }
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector: { matchLabels: {{ $selector | fromYaml | toJson }} }
{{- if $ownRedis }}
  initContainers:
{{- include "memplane.redisContainer" .root | nindent 4 }}
{{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "memplane.image" . }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      command: {{ include "memplane.command" . }}
      securityContext: {{- include "memplane.containerSecurity" . | nindent 8 }}
      resources: {{- toYaml .values.resources | nindent 8 }}
      env: {{- include "memplane.env" . | nindent 8 }}
      ports:
{{- range $name, $port := .facts.ports }}
        - { name: {{ $name }}, containerPort: {{ $port | int }}, protocol: TCP }
{{- end }}
{{- if .facts.ports.gossip }}
        - { name: gossip-udp, containerPort: {{ .facts.ports.gossip | int }}, protocol: UDP }
{{- end }}
{{- include "memplane.probes" . | nindent 6 }}
{{- with $v.preStopSeconds | int }}
      lifecycle:
        preStop: { sleep: { seconds: {{ . }} } }
{{- end }}
      volumeMounts:
        - { name: tmp, mountPath: /tmp }
{{- if or .facts.folder (eq .component "standalone") }}
        - { name: data, mountPath: /data }
{{- end }}
{{- range $name, $_ := $files }}
        - { name: {{ $name }}, mountPath: /etc/memplane/{{ $name }}, readOnly: true }
{{- end }}
{{- if and (eq .component "crdt-sync") $v.redis.addresses }}
        - { name: redis, mountPath: /etc/memplane/redis.env, subPathExpr: $(POD_NAME), readOnly: true }
{{- end }}
  volumes:
    - { name: tmp, emptyDir: { sizeLimit: 256Mi } }
{{- range $name, $each := $files }}
    - {{ merge (dict "name" $name) $each.volume | toJson }}
{{- end }}
{{- if eq .component "materializer" }}
    # For the sidecar: Dapr's secret store reads this file.
    - { name: secrets, secret: { secretName: {{ $v.secrets.prefix }}-s3, items: [{ key: secrets.json, path: secrets.json }] } }
{{- end }}
{{- if eq .component "crdt-sync" }}
    - { name: redis, configMap: { name: {{ include "memplane.fullname" .root }}-redis } }
{{- if $ownRedis }}
    - { name: redis-run, emptyDir: { medium: Memory, sizeLimit: 1Mi } }
{{- end }}
{{- end }}
{{- end -}}

{{/*
Until it has started, it is asked each second whether it lives; then whether it may be sent something,
and, seldom and patiently, whether it still lives: a busy process is not a dead one.
*/}}
{{- define "memplane.probes" -}}
{{- $port := ternary "ingest" "http" (eq .component "standalone") -}}
startupProbe:
  httpGet: { path: /healthz, port: {{ $port }} }
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: {{ divf .values.startTimeoutMs 1000 | ceil | int }}
{{- if eq .component "standalone" }}
readinessProbe:
  exec: { command: [node, --input-type=module, --eval, {{ .root.Files.Get "files/check/ready.mjs" | toJson }}] }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- else }}
readinessProbe:
  httpGet: { path: /readyz, port: {{ $port }} }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}
livenessProbe:
  httpGet: { path: /healthz, port: {{ $port }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}
