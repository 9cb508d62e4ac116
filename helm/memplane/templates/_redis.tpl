{{/* What the Redis beside a replica is told, or, by pod, which other one it has. */}}
{{- define "memplane.redisFiles" -}}
{{- $v := .Values -}}
{{- if $v.redis.addresses -}}
{{- range $i, $id := splitList "," (include "memplane.replicas" .) }}
{{ $id }}: |
  MEMPLANE_REDIS_URL=redis://{{ index $v.redis.addresses $i }}
{{- end }}
{{- else }}
redis.conf: |
  bind 127.0.0.1
  port 6379
  dir /data
  appendonly yes
  appendfsync {{ $v.redis.appendfsync }}
  save ""
  maxmemory-policy noeviction
  # Written at the start, in memory: a password belongs on no command line.
  include /run/redis/password.conf
{{- end }}
{{- end -}}

{{/* A native sidecar: it starts before its replica, and ends after it. */}}
{{- define "memplane.redisContainer" -}}
- name: redis
  image: {{ .Values.redis.image }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  restartPolicy: Always
  command:
    - /bin/sh
    - -ec
    - |
      umask 077
      printf 'requirepass "%s"\n' "$REDISCLI_AUTH" > /run/redis/password.conf
      exec redis-server /etc/redis/redis.conf
  securityContext: {{- include "memplane.containerSecurity" . | nindent 4 }}
  resources: {{- toYaml .Values.redis.resources | nindent 4 }}
  env:
{{- include "memplane.secretEnv" (dict "name" "REDISCLI_AUTH" "secret" (printf "%s-redis" .Values.secrets.prefix) "key" "password") | nindent 4 }}
  startupProbe:
    exec: { command: [/bin/sh, -c, "redis-cli ping | grep -q PONG"] }
    periodSeconds: 1
    timeoutSeconds: 2
    # Reading its append-only file: some 100 MB a second.
    failureThreshold: 300
  livenessProbe:
    exec: { command: [/bin/sh, -c, "redis-cli ping | grep -q PONG"] }
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  volumeMounts:
    - { name: data, mountPath: /data }
    - { name: redis, mountPath: /etc/redis, readOnly: true }
    - { name: redis-run, mountPath: /run/redis }
{{- end -}}
