{{/* One variable that comes from a key of a secret. */}}
{{- define "memplane.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- if .optional }}
      optional: true
{{- end }}
{{- end -}}

{{/* All variables of a component's process: with `.root`, `.component`, `.facts`, `.values`. */}}
{{- define "memplane.env" -}}
{{- $v := .root.Values -}}
{{- $prefix := $v.secrets.prefix -}}
- { name: MEMPLANE_HOST, value: "0.0.0.0" }
- { name: MEMPLANE_LOG_LEVEL, value: {{ $v.logLevel | quote }} }
- { name: MEMPLANE_DRAIN_TIMEOUT_MS, value: {{ .values.drainTimeoutMs | int | quote }} }
# Node keeps compiled code there: a restart of the container reads it.
- { name: NODE_COMPILE_CACHE, value: /tmp/compile-cache }
{{ include "memplane.secretEnv" (dict "name" "MEMPLANE_TOKEN" "secret" (printf "%s-operator" $prefix) "key" "token") }}
{{- with $v.telemetry.otlpEndpoint }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }} }
{{- end }}
{{- with .facts.port }}
- { name: {{ . }}, value: {{ $.facts.ports.http | int | quote }} }
{{- end }}
{{- with .facts.folder }}
- { name: {{ . }}, value: /data }
{{- end }}
{{- if ne .component "standalone" }}
- { name: POD_NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
- { name: POD_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
# The injector sets the same, where the chart does not.
- { name: DAPR_HTTP_PORT, value: "3500" }
{{ include "memplane.secretEnv" (dict "name" "DAPR_API_TOKEN" "secret" (printf "%s-%s-api" $prefix .component) "key" "token") }}
{{ include "memplane.secretEnv" (dict "name" "APP_API_TOKEN" "secret" (printf "%s-%s-app" $prefix .component) "key" "token") }}
{{- end }}
{{- range $name, $each := include "memplane.files" . | fromYaml }}
- { name: {{ $each.setting }}, value: /etc/memplane/{{ $name }}/{{ $each.file }} }
{{- end }}
{{ include (printf "memplane.env.%s" .component) . }}
{{- range $name, $value := .values.settings }}
- { name: {{ $name }}, value: {{ include "memplane.text" $value | quote }} }
{{- end }}
{{- end -}}

{{/* Numbers come as floats, and large ones would be written with an exponent. */}}
{{- define "memplane.text" -}}
{{- if kindIs "float64" . -}}{{- . | int64 -}}{{- else -}}{{- . -}}{{- end -}}
{{- end -}}

{{- define "memplane.env.standalone" -}}
- { name: MEMPLANE_DATA_DIR, value: /data }
- { name: MEMPLANE_EVENT_INGEST_PORT, value: {{ .facts.ports.ingest | int | quote }} }
- { name: MEMPLANE_MATERIALIZER_PORT, value: {{ .facts.ports.views | int | quote }} }
- { name: MEMPLANE_CRDT_SYNC_PORT, value: {{ .facts.ports.crdt | int | quote }} }
- { name: MEMPLANE_VECTOR_INDEX_PORT, value: {{ .facts.ports.search | int | quote }} }
- { name: MEMPLANE_RESP_PORT, value: {{ .facts.ports.resp | int | quote }} }
- { name: MEMPLANE_PARTITIONS, value: {{ .root.Values.kafka.partitions | int | quote }} }
- { name: MEMPLANE_START_TIMEOUT_MS, value: {{ .values.startTimeoutMs | int | quote }} }
- { name: MEMPLANE_EMBEDDING_DIMENSIONS, value: {{ .root.Values.embeddingDimensions | int | quote }} }
- { name: MEMPLANE_CLOCK_DRIFT_MS, value: {{ .root.Values.clockDriftMs | int | quote }} }
{{- end -}}

{{- define "memplane.env.event-ingest" -}}
- { name: MEMPLANE_KAFKA_BROKERS, value: {{ join "," .root.Values.kafka.brokers | quote }} }
- { name: MEMPLANE_KAFKA_DELIVERY_DEADLINE_MS, value: {{ .root.Values.kafka.deliveryDeadlineMs | int | quote }} }
- { name: MEMPLANE_CLOCK_DRIFT_MS, value: {{ .root.Values.clockDriftMs | int | quote }} }
- { name: MEMPLANE_EMBEDDING_DIMENSIONS, value: {{ .root.Values.embeddingDimensions | int | quote }} }
# Past its sidecar, which has no call for it: an erasure clears what etcd keeps of removed keys.
- { name: MEMPLANE_ETCD_ENDPOINTS, value: {{ join "," .root.Values.etcd.endpoints | quote }} }
{{- end -}}

{{- define "memplane.env.materializer" -}}
{{- $v := .root.Values -}}
- { name: MEMPLANE_INSTANCE, value: $(POD_NAME) }
- { name: MEMPLANE_KAFKA_BROKERS, value: {{ join "," $v.kafka.brokers | quote }} }
- { name: MEMPLANE_PARTITIONS, value: {{ $v.kafka.partitions | int | quote }} }
- { name: MEMPLANE_TIME_CUT_SETTLE_MS, value: {{ include "memplane.settleMs" .root | quote }} }
- { name: MEMPLANE_MATERIALIZER_PEER_PORT, value: {{ .facts.ports.peers | int | quote }} }
# The address, and not the name of the pod: after a restart a name may stand for the old address for
# a while, and the group tells the new one at once.
- { name: MEMPLANE_MATERIALIZER_PEER_URL, value: "http://$(POD_IP):{{ .facts.ports.peers | int }}" }
{{ include "memplane.secretEnv" (dict "name" "MEMPLANE_PEER_TOKEN" "secret" (printf "%s-peers" $v.secrets.prefix) "key" "token") }}
- { name: MEMPLANE_S3_ENDPOINT, value: {{ $v.s3.endpoint | quote }} }
- { name: MEMPLANE_S3_BUCKET, value: {{ $v.s3.bucket | quote }} }
- { name: MEMPLANE_S3_REGION, value: {{ $v.s3.region | quote }} }
{{- end -}}

{{- define "memplane.env.crdt-sync" -}}
{{- $v := .root.Values -}}
{{- $name := printf "%s-crdt-sync" (include "memplane.fullname" .root) -}}
{{- $gossip := .facts.ports.gossip | int -}}
- { name: MEMPLANE_INSTANCE, value: $(POD_NAME) }
- { name: MEMPLANE_RESP_PORT, value: {{ .facts.ports.resp | int | quote }} }
- { name: MEMPLANE_REPLICA_ID, value: $(POD_NAME) }
- { name: MEMPLANE_REPLICA_SET, value: {{ include "memplane.replicas" .root | quote }} }
- { name: MEMPLANE_CLUSTER, value: {{ $v.crdtSync.cluster | quote }} }
- { name: MEMPLANE_GOSSIP_HOST, value: "0.0.0.0" }
- { name: MEMPLANE_GOSSIP_PORT, value: {{ $gossip | quote }} }
- { name: MEMPLANE_GOSSIP_ADVERTISE, value: "$(POD_IP):{{ $gossip }}" }
# A name that stands for the addresses of all replicas, ready or not.
- { name: MEMPLANE_GOSSIP_JOIN, value: "{{ $name }}-gossip.{{ .root.Release.Namespace }}.svc.{{ $v.clusterDomain }}:{{ $gossip }}" }
{{ include "memplane.secretEnv" (dict "name" "MEMPLANE_GOSSIP_KEYS" "secret" (printf "%s-gossip" $v.secrets.prefix) "key" "keys") }}
{{ include "memplane.secretEnv" (dict "name" "MEMPLANE_OPERATOR_TOKEN" "secret" (printf "%s-operator" $v.secrets.prefix) "key" "admin-token" "optional" true) }}
{{- if not $v.redis.addresses }}
- { name: MEMPLANE_REDIS_URL, value: "redis://127.0.0.1:6379" }
{{- end }}
{{ include "memplane.secretEnv" (dict "name" "MEMPLANE_REDIS_PASSWORD" "secret" (printf "%s-redis" $v.secrets.prefix) "key" "password") }}
- { name: MEMPLANE_REDIS_APPENDFSYNC, value: {{ $v.redis.appendfsync | quote }} }
{{- end -}}

{{- define "memplane.env.vector-index" -}}
{{- $v := .root.Values -}}
- { name: MEMPLANE_INSTANCE, value: $(POD_NAME) }
- { name: MEMPLANE_EMBEDDING_DIMENSIONS, value: {{ $v.embeddingDimensions | int | quote }} }
- { name: MEMPLANE_MILVUS_ADDRESS, value: {{ $v.milvus.address | quote }} }
{{- if $v.milvus.authenticated }}
{{ include "memplane.secretEnv" (dict "name" "MEMPLANE_MILVUS_TOKEN" "secret" (printf "%s-milvus" $v.secrets.prefix) "key" "token") }}
{{- end }}
{{- with $v.vectorIndex.embedder.url }}
- { name: MEMPLANE_EMBEDDER_URL, value: {{ . | quote }} }
- { name: MEMPLANE_EMBEDDER_MODEL, value: {{ $v.vectorIndex.embedder.model | quote }} }
{{ include "memplane.secretEnv" (dict "name" "MEMPLANE_EMBEDDER_KEY" "secret" (printf "%s-embedder" $v.secrets.prefix) "key" "key" "optional" true) }}
{{- end }}
{{- end -}}
