#!/usr/bin/env bash
# An agent with nothing but curl: appends, publishes, reads, recalls, raises a counter, follows views.
# Addresses and token of its sidecar come from DAPR_HTTP_ENDPOINT and DAPR_API_TOKEN. Ends with 0
# when all it did is there again, and with words otherwise.
set -euo pipefail

run=$(date +%s%N)
user="user/curl-$run"
: "${DAPR_HTTP_ENDPOINT:?is not set: eval \"\$(make -s stack-env)\"}" "${DAPR_API_TOKEN:?is not set}"

die() { echo "curl agent: $*" >&2; exit 1; }

sidecar() { # METHOD PATH [JSON]; the token goes by standard input: `ps` shows a command line to all
  curl --silent --show-error --fail-with-body --max-time 60 -X "$1" "$DAPR_HTTP_ENDPOINT$2" \
    -H 'content-type: application/json' -H @- ${3:+--data "$3"} <<<"dapr-api-token: $DAPR_API_TOKEN"
}
invoke() { sidecar "$2" "/v1.0/invoke/$1/method$3" "${4:-}"; } # SERVICE METHOD PATH [JSON]
has() { case $1 in *"$2"*) ;; *) die "no $2 in: $1" ;; esac; }

# Append: durable when answered, safe to repeat because of its id; the answer has a token.
event='{"id": "curl-1", "type": "PreferenceNoted", "entity": "'$user'", "attributes": {"drink": "tea"},
  "memory": {"id": "drinks", "text": "Likes green tea in the morning"}}'
appended=$(invoke event-ingest POST /v1/events "$event")
has "$(invoke event-ingest POST /v1/events "$event")" '"duplicate":true'
token=$(sed -E 's/.*"token":"([^"]+)".*/\1/' <<<"$appended")
partition=$(sed -E 's/.*"partition":([0-9]+).*/\1/' <<<"$appended")
offset=$(sed -E 's/.*"offset":([0-9]+).*/\1/' <<<"$appended")

# Read: with the token, the view includes the append.
view=$(invoke materializer GET "/v1/entities/$user?after=$token")
has "$view" '"drink":"tea"'
has "$view" '"sequence":1'

# Recall.
question='{"text": "morning tea", "topK": 3, "entity": "'$user'", "after": "'$token'", "waitMs": 20000}'
has "$(invoke vector-index POST /v1/search "$question")" '"memoryId":"drinks"'

# A counter: the repeated operation counts once, at whichever replicas it came in; a majority knows.
for operation in a b b; do
  invoke crdt-sync POST "/v1/counters/curl-$run/increments" '{"by": 7, "opId": "'$operation'"}' >/dev/null
done
has "$(invoke crdt-sync GET "/v1/counters/curl-$run?read=quorum")" '"value":14'

# Publish, then follow the feed of views until the published event is in one.
sidecar POST "/v1.0/publish/pubsub/agent-inbox?metadata.partitionKey=$user" \
  '{"id": "curl-2", "type": "MoodNoted", "entity": "'$user'", "attributes": {"mood": "fine"}}'
for _ in $(seq 30); do
  views=$(invoke materializer GET "/v1/feeds/memory-views?partition=$partition&from=$offset&waitMs=1000")
  if grep -F "$user" <<<"$views" | grep -qF '"mood":"fine"'; then
    echo 'curl agent: appended, read, recalled, counted, published, followed: all well'
    exit 0
  fi
done
die 'the published event did not come into the view in time'
