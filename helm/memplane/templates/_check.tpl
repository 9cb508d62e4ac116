{{/* A pod that runs one of the programs of files/check/, and ends. */}}
{{- define "memplane.checkPod" -}}
{{- $full := include "memplane.fullname" .root -}}
{{- $v := .root.Values -}}
metadata:
  labels: {{- include "memplane.labels" (dict "root" .root "component" "check") | nindent 4 }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ $full }}-check
  automountServiceAccountToken: false
  enableServiceLinks: false
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
  containers:
    - name: check
      image: {{ include "memplane.image" (dict "root" .root "component" (ternary "standalone" "event-ingest" (eq $v.shape "standalone"))) }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      command: ["node", "/etc/memplane/{{ .program }}"]
      securityContext: {{- include "memplane.containerSecurity" . | nindent 8 }}
      resources:
        requests: { cpu: 50m, memory: 64Mi }
        limits: { cpu: 500m, memory: 256Mi }
      env:
{{- include "memplane.secretEnv" (dict "name" "MEMPLANE_TOKEN" "secret" (printf "%s-operator" $v.secrets.prefix) "key" "token") | nindent 8 }}
        - { name: CHECK_DIMENSIONS, value: {{ $v.embeddingDimensions | int | quote }} }
{{- if eq $v.shape "standalone" }}
{{- range $name, $port := dict "EVENT_INGEST" 7101 "MATERIALIZER" 7102 "CRDT_SYNC" 7103 "VECTOR_INDEX" 7104 }}
        - { name: CHECK_{{ $name }}_URL, value: "http://{{ $full }}-standalone:{{ $port }}" }
{{- end }}
{{- else }}
{{- range $component, $facts := include "memplane.components" .root | fromYaml }}
        - { name: CHECK_{{ $component | upper | replace "-" "_" }}_URL, value: "http://{{ $full }}-{{ $component }}:{{ $facts.ports.http | int }}" }
{{- end }}
{{- $urls := list }}
{{- range splitList "," (include "memplane.replicas" .root) }}
{{- $urls = append $urls (printf "http://%s.%s-crdt-sync-gossip:7103" . $full) }}
{{- end }}
        - { name: CHECK_REPLICA_URLS, value: {{ join "," $urls | quote }} }
{{- end }}
      volumeMounts:
        - { name: programs, mountPath: /etc/memplane, readOnly: true }
  volumes:
    - { name: programs, configMap: { name: {{ $full }}-check } }
{{- end -}}
