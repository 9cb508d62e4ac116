{{/* The ports at which a component is called past sidecars. */}}
{{- define "memplane.directPorts" -}}
{{- range $name, $port := omit .ports "peers" "gossip" }}
- { port: {{ $port | int }}, protocol: TCP }
{{- end }}
{{- end -}}

{{- define "memplane.dnsRule" -}}
- to: {{ default (list (dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" "kube-system")))) .Values.networkPolicy.dns | toJson }}
  ports: [{ port: 53, protocol: UDP }, { port: 53, protocol: TCP }]
{{- end -}}

{{/* Who calls whom through sidecars, as dapr/config/ allows it. */}}
{{- define "memplane.callers" -}}
event-ingest: [agents, crdt-sync, materializer, vector-index]
materializer: [agents, event-ingest, materializer, vector-index]
crdt-sync: [agents, materializer]
vector-index: [agents, event-ingest]
{{- end -}}

{{- define "memplane.podPeer" -}}
{{- dict "podSelector" (dict "matchLabels" (include "memplane.selector" . | fromYaml)) | toJson -}}
{{- end -}}

{{- define "memplane.ingress" -}}
{{- $v := .root.Values -}}
{{- $n := $v.networkPolicy -}}
{{- $callers := index (include "memplane.callers" .root | fromYaml) .component -}}
{{- $peers := list -}}
{{- range $callers -}}
{{- if eq . "agents" -}}
{{- range $v.dapr.agents -}}
{{- $peers = append $peers (dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" .namespace)) "podSelector" (dict "matchLabels" (dict "dapr.io/app-id" .appId))) -}}
{{- end -}}
{{- else -}}
{{- $peers = append $peers (include "memplane.podPeer" (dict "root" $.root "component" .) | fromYaml) -}}
{{- end -}}
{{- end -}}
{{- with $peers }}
# Sidecars speak to sidecars.
- from: {{ toJson . }}
  ports: [{ port: 50002, protocol: TCP }]
{{- end }}
- from: [{{ include "memplane.podPeer" (dict "root" .root "component" "check") }}]
  ports: {{- include "memplane.directPorts" .facts | nindent 4 }}
{{- with $n.operators }}
- from: {{ toJson . }}
  ports: {{- include "memplane.directPorts" $.facts | nindent 4 }}
{{- end }}
{{- with $n.prometheus }}
- from: {{ toJson . }}
  ports:
{{- range $name, $port := omit $.facts.ports "peers" "gossip" "resp" }}
    - { port: {{ $port | int }}, protocol: TCP }
{{- end }}
{{- end }}
{{- if eq .component "materializer" }}
- from: [{{ include "memplane.podPeer" (dict "root" .root "component" "materializer") }}]
  ports: [{ port: {{ .facts.ports.peers | int }}, protocol: TCP }]
{{- end }}
{{- if eq .component "crdt-sync" }}
- from: [{{ include "memplane.podPeer" (dict "root" .root "component" "crdt-sync") }}]
  ports: [{ port: {{ .facts.ports.gossip | int }}, protocol: TCP }, { port: {{ .facts.ports.gossip | int }}, protocol: UDP }]
{{- if and $v.autoscaling.agents.enabled $n.keda }}
- from: {{ toJson $n.keda }}
  ports: [{ port: {{ .facts.ports.http | int }}, protocol: TCP }]
{{- end }}
{{- end }}
{{- end -}}

{{- define "memplane.egress" -}}
{{- $v := .root.Values -}}
{{ include "memplane.dnsRule" .root }}
{{- if ne .component "standalone" }}
# Dapr's operator, authority, placement and scheduler.
- to: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ $v.dapr.controlPlaneNamespace }} } } }]
  ports:
    - { port: 6500, protocol: TCP }
    - { port: 50001, protocol: TCP }
    - { port: 50005, protocol: TCP }
    - { port: 50006, protocol: TCP }
{{- end }}
{{- range $called, $callers := include "memplane.callers" .root | fromYaml }}
{{- if has $.component $callers }}
- to: [{{ include "memplane.podPeer" (dict "root" $.root "component" $called) }}]
  ports: [{ port: 50002, protocol: TCP }]
{{- end }}
{{- end }}
{{- if eq .component "materializer" }}
- to: [{{ include "memplane.podPeer" (dict "root" .root "component" "materializer") }}]
  ports: [{ port: {{ .facts.ports.peers | int }}, protocol: TCP }]
{{- end }}
{{- if eq .component "crdt-sync" }}
- to: [{{ include "memplane.podPeer" (dict "root" .root "component" "crdt-sync") }}]
  ports: [{ port: {{ .facts.ports.gossip | int }}, protocol: TCP }, { port: {{ .facts.ports.gossip | int }}, protocol: UDP }]
{{- end }}
{{- range $store, $addresses := include "memplane.stores" . | fromYaml }}
{{- if $addresses }}
- to: {{ index $v.networkPolicy.to $store | toJson }}
  ports:
{{- $ports := list }}
{{- range $addresses }}{{ $ports = append $ports (include "memplane.portOf" .) }}{{ end }}
{{- range uniq $ports }}
    - { port: {{ . }}, protocol: TCP }
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The stores that a component or its sidecar speaks to, and their addresses. */}}
{{- define "memplane.stores" -}}
{{- $v := .root.Values -}}
telemetry: {{ compact (list $v.telemetry.otlpEndpoint) | toJson }}
issuers: {{ toJson $v.tenants.issuers }}
{{- if ne .component "standalone" }}
kafka: {{ toJson $v.kafka.brokers }}
{{- end }}
{{- if eq .component "event-ingest" }}
etcd: {{ toJson $v.etcd.endpoints }}
state: {{ list $v.state.redisAddress | toJson }}
{{- end }}
{{- if eq .component "materializer" }}
s3: {{ list $v.s3.endpoint | toJson }}
{{- end }}
{{- if eq .component "crdt-sync" }}
etcd: {{ toJson $v.etcd.endpoints }}
redis: {{ toJson $v.redis.addresses }}
{{- end }}
{{- if eq .component "vector-index" }}
milvus: {{ list $v.milvus.address | toJson }}
embedder: {{ compact (list $v.vectorIndex.embedder.url) | toJson }}
{{- end }}
{{- end -}}
