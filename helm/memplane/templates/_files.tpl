{{/*
Files that a component reads, each in a folder of its own under /etc/memplane: the setting that names
it, and the volume that has it. Whole volumes are mounted, since a part of one would never change.
*/}}
{{- define "memplane.files" -}}
{{- $v := .root.Values -}}
{{- $takesEvents := has .component (list "standalone" "event-ingest") -}}
{{- if and $v.zones.enabled $takesEvents }}
zones:
  setting: MEMPLANE_ZONES
  file: zones.yaml
  volume: { configMap: { name: {{ include "memplane.fullname" .root }}-zones } }
{{- end }}
{{- if and $v.sealing.enabled $takesEvents }}
sealing:
  setting: MEMPLANE_SEALING_KEYS
  file: master-keys
  volume: { secret: { secretName: {{ $v.secrets.prefix }}-sealing, defaultMode: 0440 } }
{{- end }}
{{- if $v.tenants.enabled }}
tenants:
  setting: MEMPLANE_TENANTS
  file: tenants.yaml
  volume: { secret: { secretName: {{ $v.secrets.prefix }}-tenants, defaultMode: 0440 } }
{{- end }}
{{- end -}}
