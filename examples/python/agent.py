"""An agent in Python: appends, publishes, reads, recalls, raises a counter, subscribes.

It talks to nothing but its own sidecar, by Dapr's own client, which takes the sidecar's addresses and
token from DAPR_HTTP_ENDPOINT, DAPR_GRPC_ENDPOINT and DAPR_API_TOKEN. Ends with 0 when all it did is
there again, and with words otherwise.
"""

import json
import sys
import time
import uuid
from urllib.parse import urlencode

from dapr.clients import DaprClient

RUN = uuid.uuid4().hex[:10]
USER = f"user/python-{RUN}"
PATIENCE_S = 60


def invoke(dapr, service, verb, path, body=None, **query):
    """One call of a service of the plane; sets exact words where it is refused."""
    answer = dapr.invoke_method(
        service,
        path,
        data=json.dumps(body) if body is not None else "",
        content_type="application/json",
        http_verb=verb,
        http_querystring=tuple(query.items()),
    )
    return json.loads(answer.data)


def check(condition, what):
    if not condition:
        sys.exit(f"python agent: {what}")


def eventually(what, probe):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"python agent: {what}: not within {PATIENCE_S} s")


def append_and_read(dapr):
    """Durable when answered; the token makes the read include it."""
    event = {
        "id": "python-1",
        "type": "PreferenceNoted",
        "entity": USER,
        "attributes": {"drink": "tea"},
        "memory": {"id": "drinks", "text": f"Likes smoky tea, said in run {RUN}"},
    }
    appended = invoke(dapr, "event-ingest", "POST", "v1/events", event)
    check(not appended["accepted"][0]["duplicate"], "the first append is a duplicate")
    again = invoke(dapr, "event-ingest", "POST", "v1/events", event)
    check(again["accepted"][0]["duplicate"], "the id did not make the repetition harmless")
    token = appended["token"]
    view = invoke(dapr, "materializer", "GET", f"v1/entities/{USER}", after=token)
    check(view["attributes"] == {"drink": "tea"}, f"the view is {view['attributes']}")
    check(view["sequence"] == 1, f"applied {view['sequence']} times")
    return token


def recall(dapr, token):
    question = {"text": "smoky tea", "topK": 3, "entity": USER, "after": token, "waitMs": 20_000}
    hits = invoke(dapr, "vector-index", "POST", "v1/search", question)["results"]
    check(hits and hits[0]["memoryId"] == "drinks", f"recalled {hits}")


def raise_counter(dapr):
    name = f"python-{RUN}"
    for operation in ("a", "b", "b"):
        raised = {"by": 2, "opId": operation}
        invoke(dapr, "crdt-sync", "POST", f"v1/counters/{name}/increments", raised)
    # At whichever replicas they came in: a majority knows of all.
    value = invoke(dapr, "crdt-sync", "GET", f"v1/counters/{name}", read="quorum")["value"]
    check(value == 4, f"the counter is {value}; the repeated operation counts once")


def publish_and_subscribe(dapr):
    """Fire and forget into the inbox; the view comes to whoever subscribes to `memory-views`."""
    event = {"id": "python-2", "type": "MoodNoted", "entity": USER, "attributes": {"mood": "fine"}}
    dapr.publish_event(
        "pubsub",
        "agent-inbox",
        json.dumps(event),
        data_content_type="application/json",
        publish_metadata={"partitionKey": USER},
    )
    subscription = dapr.subscribe(pubsub_name="pubsub", topic="memory-views")
    try:
        deadline = time.monotonic() + PATIENCE_S
        for message in subscription:
            check(time.monotonic() < deadline, "no view came in time")
            if message is None:
                continue
            subscription.respond_success(message)
            view = message.data()["view"]
            if view["entity"] == USER and view["sequence"] == 2:
                check(view["attributes"] == {"drink": "tea", "mood": "fine"}, f"view: {view}")
                return
    finally:
        subscription.close()


with DaprClient() as client:
    token = append_and_read(client)
    recall(client, token)
    raise_counter(client)
    publish_and_subscribe(client)
print("python agent: appended, read, recalled, counted, published, subscribed: all as it should be")
