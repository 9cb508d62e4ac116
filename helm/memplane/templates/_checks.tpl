{{/* What the schema can not say. Each message begins with the value that is wrong. */}}
{{- define "memplane.checks" -}}
{{- $v := .Values -}}
{{- if eq $v.shape "distributed" -}}
{{- if not $v.kafka.brokers }}{{ fail "kafka.brokers: the distributed shape needs the log; name at least one broker, host:port" }}{{ end -}}
{{- if not $v.etcd.endpoints }}{{ fail "etcd.endpoints: the distributed shape keeps strong state in etcd; name at least one endpoint, host:port" }}{{ end -}}
{{- if not $v.state.redisAddress }}{{ fail "state.redisAddress: the distributed shape keeps recent ids in a Redis; name it, host:port" }}{{ end -}}
{{- if not $v.milvus.address }}{{ fail "milvus.address: the distributed shape indexes vectors in Milvus; name it, host:port" }}{{ end -}}
{{- if not $v.s3.endpoint }}{{ fail "s3.endpoint: the distributed shape archives to S3 storage; name its URL" }}{{ end -}}
{{- if and $v.redis.addresses (ne (len $v.redis.addresses) (int $v.crdtSync.replicas)) }}
{{- fail (printf "redis.addresses: %d addresses for %d replicas of crdt-sync; each replica needs one of its own" (len $v.redis.addresses) (int $v.crdtSync.replicas)) }}
{{- end -}}
{{- if ne (len $v.redis.addresses) (len (uniq $v.redis.addresses)) }}
{{- fail "redis.addresses: two are equal; replicas that share a Redis are one replica, and would count themselves as several" }}
{{- end -}}
{{- if has $v.state.redisAddress $v.redis.addresses }}
{{- fail "state.redisAddress: is one of redis.addresses; recent ids may be evicted, and values may not" }}
{{- end -}}
{{- $own := list "event-ingest" "materializer" "crdt-sync" "vector-index" -}}
{{- $ids := list -}}
{{- range $v.dapr.agents -}}
{{- if has .appId $own }}{{ fail (printf "dapr.agents: %s is a service of the plane, and has its own rights" .appId) }}{{ end -}}
{{- $ids = append $ids .appId -}}
{{- end -}}
{{- if ne (len $ids) (len (uniq $ids)) }}{{ fail "dapr.agents: an appId stands twice; topics know applications by it alone" }}{{ end -}}
{{- range $name := list "eventIngest" "materializer" "vectorIndex" -}}
{{- $scaling := index $v.autoscaling $name -}}
{{- if gt (int $scaling.min) (int $scaling.max) }}{{ fail (printf "autoscaling.%s.min: is more than max" $name) }}{{ end -}}
{{- if and (ne $name "eventIngest") (gt (int $scaling.max) (int $v.kafka.partitions)) }}
{{- fail (printf "autoscaling.%s.max: is more than kafka.partitions, and a partition has one reader" $name) }}
{{- end -}}
{{- end -}}
{{- if gt (int $v.autoscaling.agents.min) (int $v.autoscaling.agents.max) }}{{ fail "autoscaling.agents.min: is more than max" }}{{ end -}}
{{- if and $v.autoscaling.agents.enabled (not $v.autoscaling.agents.name) }}{{ fail "autoscaling.agents.name: what is to be scaled?" }}{{ end -}}
{{- if gt (int $v.materializer.replicas) (int $v.kafka.partitions) }}{{ fail "materializer.replicas: is more than kafka.partitions, and a partition has one owner" }}{{ end -}}
{{- if and (or $v.kafka.topics.create $v.kafka.users.create) (not $v.kafka.topics.cluster) }}{{ fail "kafka.topics.cluster: name the Kafka resource that topics and users are for" }}{{ end -}}
{{- if gt (int $v.kafka.topics.minInsyncReplicas) (int $v.kafka.topics.replicas) }}{{ fail "kafka.topics.minInsyncReplicas: is more than kafka.topics.replicas, and nothing could be written" }}{{ end -}}
{{- if and $v.vectorIndex.embedder.url (not $v.vectorIndex.embedder.model) }}{{ fail "vectorIndex.embedder.model: which model of vectorIndex.embedder.url?" }}{{ end -}}
{{- if and $v.sealing.enabled (not $v.zones.enabled) }}{{ fail "zones.enabled: sealing needs it in the distributed shape, where instances of event-ingest know of each other by zones; zones.rules may be empty" }}{{ end -}}
{{- else -}}
{{- range $name := list "eventIngest" "materializer" "vectorIndex" "agents" -}}
{{- if (index $v.autoscaling $name).enabled }}{{ fail (printf "autoscaling.%s.enabled: the standalone shape is one pod" $name) }}{{ end -}}
{{- end -}}
{{- if $v.kafka.topics.create }}{{ fail "kafka.topics.create: the standalone shape has no Kafka" }}{{ end -}}
{{- if $v.kafka.users.create }}{{ fail "kafka.users.create: the standalone shape has no Kafka" }}{{ end -}}
{{- if $v.reconciliation.enabled }}{{ fail "reconciliation.enabled: the standalone shape has one replica, and nobody to compare it with" }}{{ end -}}
{{- end -}}
{{- if and $v.zones.rules (not $v.zones.enabled) }}{{ fail "zones.enabled: zones.rules mean nothing without it" }}{{ end -}}
{{- range $v.zones.rules -}}
{{- if and .sealed (not $v.sealing.enabled) }}{{ fail (printf "sealing.enabled: zones.rules seal %s, which takes no events without a master key" .match) }}{{ end -}}
{{- end -}}
{{- if and $v.tenants.issuers (not $v.tenants.enabled) }}{{ fail "tenants.enabled: tenants.issuers mean nothing without it" }}{{ end -}}
{{- range $key, $_ := include "memplane.components" . | fromYaml -}}
{{- $own := index $v (index $_ "values") -}}
{{- range $container := list (dict "at" (index $_ "values") "resources" $own.resources) (dict "at" "redis" "resources" $v.redis.resources) (dict "at" "dapr" "resources" $v.dapr.resources) -}}
{{- range $what := list "cpu" "memory" -}}
{{- $request := include "memplane.amount" (index $container.resources.requests $what) | float64 -}}
{{- $limit := include "memplane.amount" (index $container.resources.limits $what) | float64 -}}
{{- if gt $request $limit }}{{ fail (printf "%s.resources.requests.%s: is more than its limit" $container.at $what) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A quantity of Kubernetes as a number. */}}
{{- define "memplane.amount" -}}
{{- $number := regexFind "^[0-9.]+" . | float64 -}}
{{- $unit := regexFind "[a-zA-Z]+$" . -}}
{{- $scale := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- mulf $number (index $scale $unit) -}}
{{- end -}}
