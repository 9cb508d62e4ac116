{{/* The values of a component's volume, empty where it has none. */}}
{{- define "memplane.persistence" -}}
{{- if eq .component "crdt-sync" -}}
{{- if not .root.Values.redis.addresses }}{{ toYaml .root.Values.redis.persistence }}{{ end -}}
{{- else if hasKey .values "persistence" -}}
{{ toYaml .values.persistence }}
{{- end -}}
{{- end -}}

{{/*
Nothing can change the volumes that a StatefulSet asks for; the server's own refusal names no value
and comes when much else is changed already. Where no cluster is asked, as by `helm template`, nothing is found.
*/}}
{{- define "memplane.checkVolumes" -}}
{{- $name := printf "%s-%s" (include "memplane.fullname" .root) .component -}}
{{- $path := ternary "redis" .facts.values (eq .component "crdt-sync") -}}
{{- $steps := "a StatefulSet keeps the volumes that it was made with; docs/operations.md, \"Growing a volume\", says how to go on" -}}
{{- with lookup "apps/v1" "StatefulSet" .root.Release.Namespace $name -}}
{{- $there := dict -}}
{{- range .spec.volumeClaimTemplates }}{{ $there = .spec }}{{ end -}}
{{- if ne (empty $there) (empty $.persistence) -}}
{{- fail (printf "redis.addresses: %s has %s volumes, and would have %s; %s" $name (ternary "no" "own" (empty $there)) (ternary "none" "some" (empty $.persistence)) $steps) -}}
{{- else if $there -}}
{{- $size := $there.resources.requests.storage -}}
{{- $class := $there.storageClassName | default "" -}}
{{- if ne (include "memplane.amount" $size) (include "memplane.amount" $.persistence.size) -}}
{{- fail (printf "%s.persistence.size: %s has volumes of %s, and would have %s; %s" $path $name $size $.persistence.size $steps) -}}
{{- else if ne $class $.persistence.storageClass -}}
{{- fail (printf "%s.persistence.storageClass: %s has volumes of %q, and would have %q; %s" $path $name $class $.persistence.storageClass $steps) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
