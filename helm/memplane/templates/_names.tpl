{{/*
The beginning of all names. A StatefulSet's may have 52 letters: with a hash it is a label of its pods.
*/}}
{{- define "memplane.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 39 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 39 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 39 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What pods are found by: never changes. */}}
{{- define "memplane.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "memplane.labels" -}}
{{ include "memplane.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: memplane
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "memplane.image" -}}
{{- printf "%s/%s:%s" .root.Values.image.repository .component (default .root.Chart.AppVersion .root.Values.image.tag) -}}
{{- end -}}

{{/* What runs, by component: its values, port, data folder and kind. */}}
{{- define "memplane.components" -}}
{{- if eq .Values.shape "standalone" -}}
standalone: { values: standalone, ports: { ingest: 7101, views: 7102, crdt: 7103, search: 7104, resp: 6390 } }
{{- else -}}
event-ingest: { values: eventIngest, ports: { http: 7101 }, port: MEMPLANE_EVENT_INGEST_PORT }
materializer: { values: materializer, ports: { http: 7102, peers: 7112 }, port: MEMPLANE_MATERIALIZER_PORT, folder: MEMPLANE_MATERIALIZER_DIR }
crdt-sync: { values: crdtSync, ports: { http: 7103, resp: 6390, gossip: 7946 }, port: MEMPLANE_CRDT_SYNC_PORT }
vector-index: { values: vectorIndex, ports: { http: 7104 }, port: MEMPLANE_VECTOR_INDEX_PORT, folder: MEMPLANE_VECTOR_INDEX_DIR }
{{- end -}}
{{- end -}}

{{/* The port of `host:port` or of a URL. */}}
{{- define "memplane.portOf" -}}
{{- if contains "://" . -}}
{{- $host := (urlParse .).host -}}
{{- if contains ":" $host -}}{{- splitList ":" $host | last -}}
{{- else if hasPrefix "https" . -}}443{{- else -}}80{{- end -}}
{{- else -}}
{{- splitList ":" . | last -}}
{{- end -}}
{{- end -}}

{{/* The ids of the replicas of crdt-sync: the names of their pods. */}}
{{- define "memplane.replicas" -}}
{{- $name := printf "%s-crdt-sync" (include "memplane.fullname" .) -}}
{{- $ids := list -}}
{{- range $i := until (int .Values.crdtSync.replicas) -}}
{{- $ids = append $ids (printf "%s-%d" $name $i) -}}
{{- end -}}
{{- join "," $ids -}}
{{- end -}}

{{/* Clocks may differ, an append is tried for a while, and half a second is to spare. */}}
{{- define "memplane.settleMs" -}}
{{- add .Values.kafka.deliveryDeadlineMs .Values.clockDriftMs 500 -}}
{{- end -}}

{{/*
From the signal on a process ends by itself within its drain and five seconds; before the signal it
goes on serving; five seconds more are the sidecar's, which ends after it.
*/}}
{{- define "memplane.graceSeconds" -}}
{{- $drain := divf .drainTimeoutMs 1000 | ceil | int -}}
{{- add .preStopSeconds $drain 10 -}}
{{- end -}}
