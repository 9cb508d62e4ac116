{{/*
What of components/ is of one machine becomes what is of this cluster: addresses, secrets, agents.
All else stays, letter by letter.
*/}}
{{- define "memplane.daprComponents" -}}
{{- $v := .Values -}}
{{- $addresses := dict "MEMPLANE_KAFKA_BROKERS" (join "," $v.kafka.brokers) "MEMPLANE_REDIS_ADDRESS" $v.state.redisAddress "MEMPLANE_ETCD_ENDPOINTS" (join "," $v.etcd.endpoints) -}}
{{- range $path, $_ := .Files.Glob "files/components/*.yaml" }}
{{- $component := $.Files.Get $path | fromYaml }}
{{- $items := list }}
{{- range $item := $component.spec.metadata }}
{{- if $item.envRef }}
{{- $items = append $items (dict "name" $item.name "value" (required (printf "%s: %s has no value here" $path $item.envRef) (get $addresses $item.envRef))) }}
{{- else if $item.secretKeyRef }}
{{- $items = append $items (dict "name" $item.name "secretKeyRef" (dict "name" (printf "%s-state" $v.secrets.prefix) "key" "redis-password")) }}
{{- else if has $item.name (list "publishingScopes" "subscriptionScopes") }}
{{- $items = append $items (dict "name" $item.name "value" (include "memplane.topicScopes" (dict "root" $ "scopes" $item.value))) }}
{{- else }}
{{- $items = append $items $item }}
{{- end }}
{{- end }}
{{- $_ := set $component.spec "metadata" $items }}
{{- if $component.auth }}
{{- $_ := set $component "auth" (dict "secretStore" "kubernetes") }}
{{- end }}
{{- $scopes := without $component.scopes "agent" }}
{{- if has "agent" $component.scopes }}
{{- range $v.dapr.agents }}{{ $scopes = append $scopes .appId }}{{ end }}
{{- end }}
{{- $_ := set $component "scopes" $scopes }}
---
{{ include "memplane.daprResource" (dict "root" $ "resource" $component) }}
{{- end }}
---
# The keys of the archive, from the file of a secret that is mounted into the materializer's sidecar:
# the cluster's own store would need a token in the pod.
{{ include "memplane.daprResource" (dict "root" . "resource" (dict "apiVersion" "dapr.io/v1alpha1" "kind" "Component" "metadata" (dict "name" "secrets") "spec" (dict "type" "secretstores.local.file" "version" "v1" "metadata" (list (dict "name" "secretsFile" "value" "/memplane/secrets/secrets.json"))) "scopes" (list "materializer"))) }}
{{- end -}}

{{/* `agent=…` becomes one part for each agent. */}}
{{- define "memplane.topicScopes" -}}
{{- $parts := list -}}
{{- range $part := splitList ";" .scopes -}}
{{- $topics := splitList "=" $part | last -}}
{{- if hasPrefix "agent=" $part -}}
{{- range $.root.Values.dapr.agents }}{{ $parts = append $parts (printf "%s=%s" .appId $topics) }}{{ end -}}
{{- else -}}
{{- $parts = append $parts $part -}}
{{- end -}}
{{- end -}}
{{- join ";" $parts -}}
{{- end -}}

{{/* One Configuration for each service: what all share, and its own; names of this cluster. */}}
{{- define "memplane.daprConfigurations" -}}
{{- $v := .Values -}}
{{- range $app := list "event-ingest" "materializer" "crdt-sync" "vector-index" }}
---
{{ include "memplane.daprConfiguration" (dict "root" $ "file" $app "name" $app "namespace" $.Release.Namespace) }}
{{- end }}
{{- range $v.dapr.agents }}
---
{{ include "memplane.daprConfiguration" (dict "root" $ "file" "agent" "name" .appId "namespace" .namespace) }}
{{- end }}
{{- end -}}

{{- define "memplane.daprConfiguration" -}}
{{- $v := .root.Values -}}
{{- $common := .root.Files.Get "files/config/common.yaml" | fromYaml -}}
{{- $own := .root.Files.Get (printf "files/config/%s.yaml" .file) | fromYaml -}}
{{- $spec := merge $own.spec $common.spec -}}
{{- $tracing := dict "samplingRate" ($v.telemetry.samplingRate | toString) -}}
{{- with $v.telemetry.otlpEndpoint -}}
{{- $url := urlParse . -}}
{{- $otel := dict "endpointAddress" (printf "%s:%s" (splitList ":" $url.host | first) (include "memplane.portOf" .)) "isSecure" (eq $url.scheme "https") "protocol" "http" -}}
{{- $_ := set $tracing "otel" $otel -}}
{{- end -}}
{{- $_ := set $spec "tracing" $tracing -}}
{{- /* What the definition of the kind asks for, and a file on one machine does not. */ -}}
{{- $_ := set $spec "metrics" (merge (dict "enabled" true) $spec.metrics) -}}
{{- $sentry := printf "dapr-sentry.%s.svc.%s:443" $v.dapr.controlPlaneNamespace $v.clusterDomain -}}
{{- $_ := set $spec "mtls" (merge (dict "controlPlaneTrustDomain" $v.clusterDomain "sentryAddress" $sentry) $spec.mtls) -}}
{{- $policies := list -}}
{{- range $policy := $spec.accessControl.policies -}}
{{- if eq $policy.appId "agent" -}}
{{- range $v.dapr.agents -}}
{{- $policies = append $policies (merge (dict "appId" .appId "namespace" .namespace "trustDomain" $v.dapr.trustDomain) $policy) -}}
{{- end -}}
{{- else -}}
{{- $policies = append $policies (merge (dict "namespace" $.root.Release.Namespace "trustDomain" $v.dapr.trustDomain) $policy) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $spec.accessControl "policies" $policies -}}
{{- $_ := set $spec.accessControl "trustDomain" $v.dapr.trustDomain -}}
{{ include "memplane.daprResource" (dict "root" .root "namespace" .namespace "resource" (dict "apiVersion" $own.apiVersion "kind" $own.kind "metadata" (dict "name" .name) "spec" $spec)) }}
{{- end -}}

{{- define "memplane.daprResources" -}}
{{- range $path, $_ := .Files.Glob "files/resources/*.yaml" }}
---
{{ include "memplane.daprResource" (dict "root" $ "resource" ($.Files.Get $path | fromYaml)) }}
{{- end }}
{{- end -}}

{{- define "memplane.daprResource" -}}
{{- $labels := include "memplane.labels" (dict "root" .root "component" "") | fromYaml -}}
{{- $metadata := dict "name" .resource.metadata.name "labels" $labels "namespace" (default .root.Release.Namespace .namespace) -}}
{{- $_ := set .resource "metadata" $metadata -}}
{{- toYaml .resource -}}
{{- end -}}

{{- define "memplane.daprDigest" -}}
{{- printf "%s%s%s" (include "memplane.daprComponents" .) (include "memplane.daprConfigurations" .) (include "memplane.daprResources" .) | sha256sum | trunc 16 | quote -}}
{{- end -}}
