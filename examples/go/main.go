// An agent in Go: appends, publishes, reads, recalls, raises a counter, subscribes.
//
// It talks to nothing but its own sidecar, by Dapr's own client, which takes the sidecar's address and
// token from DAPR_GRPC_ENDPOINT and DAPR_API_TOKEN. Ends with 0 when all it did is there again, and
// with words otherwise.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"reflect"
	"time"

	dapr "github.com/dapr/go-sdk/client"
)

const patience = 60 * time.Second

type object = map[string]any

type agent struct {
	dapr dapr.Client
	run  string
	user string
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("go agent: ")
	client, err := dapr.NewClient()
	must(err)
	defer client.Close()
	run := fmt.Sprintf("%x", time.Now().UnixNano())
	a := agent{dapr: client, run: run, user: "user/go-" + run}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()

	token := a.appendAndRead(ctx)
	a.recall(ctx, token)
	a.raiseCounter(ctx)
	a.publishAndSubscribe(ctx)
	log.Print("appended, read, recalled, counted, published, subscribed: all as it should be")
}

// Durable when answered; the token makes the read include it.
func (a agent) appendAndRead(ctx context.Context) string {
	event := object{
		"id": "go-1", "type": "PreferenceNoted", "entity": a.user,
		"attributes": object{"seat": "window"},
		"memory":     object{"id": "seats", "text": "Wants a window seat on every train"},
	}
	appended := a.invoke(ctx, "event-ingest", "post", "v1/events", event)
	again := a.invoke(ctx, "event-ingest", "post", "v1/events", event)
	accepted := again["accepted"].([]any)[0].(object)
	check(accepted["duplicate"] == true, "the id did not make the repetition harmless")
	token := appended["token"].(string)
	view := a.invoke(ctx, "materializer", "get",
		"v1/entities/"+a.user+"?after="+url.QueryEscape(token), nil)
	check(reflect.DeepEqual(view["attributes"], object{"seat": "window"}), "view: %v", view)
	check(view["sequence"] == 1.0, "applied %v times", view["sequence"])
	return token
}

func (a agent) recall(ctx context.Context, token string) {
	found := a.invoke(ctx, "vector-index", "post", "v1/search", object{
		"text": "window seat", "topK": 3, "entity": a.user, "after": token, "waitMs": 20_000,
	})
	hits := found["results"].([]any)
	check(len(hits) > 0 && hits[0].(object)["memoryId"] == "seats", "recalled %v", hits)
}

func (a agent) raiseCounter(ctx context.Context) {
	path := "v1/counters/go-" + a.run
	for _, operation := range []string{"a", "b", "b"} {
		a.invoke(ctx, "crdt-sync", "post", path+"/increments", object{"by": 3, "opId": operation})
	}
	// At whichever replicas they came in: a majority knows of all.
	value := a.invoke(ctx, "crdt-sync", "get", path+"?read=quorum", nil)["value"]
	check(value == 6.0, "the counter is %v; the repeated operation counts once", value)
}

// Fire and forget into the inbox; the event comes back to whoever subscribes to `agent-events`.
func (a agent) publishAndSubscribe(ctx context.Context) {
	event := object{
		"id": "go-2", "type": "MoodNoted", "entity": a.user, "attributes": object{"mood": "fine"},
	}
	body, err := json.Marshal(event)
	must(err)
	must(a.dapr.PublishEvent(ctx, "pubsub", "agent-inbox", body,
		dapr.PublishEventWithContentType("application/json"),
		dapr.PublishEventWithMetadata(map[string]string{"partitionKey": a.user})))
	subscription, err := a.dapr.Subscribe(ctx, dapr.SubscriptionOptions{
		PubsubName: "pubsub", Topic: "agent-events",
	})
	must(err)
	defer subscription.Close()
	for {
		message, err := subscription.Receive()
		must(err)
		must(message.Success())
		if message.ID != "go-2" {
			continue
		}
		var data object
		must(json.Unmarshal(message.RawData, &data))
		if reflect.DeepEqual(data["attributes"], object{"mood": "fine"}) {
			return
		}
	}
}

// One call of a service of the plane.
func (a agent) invoke(ctx context.Context, service, verb, path string, body object) object {
	content := &dapr.DataContent{ContentType: "application/json"}
	if body != nil {
		text, err := json.Marshal(body)
		must(err)
		content.Data = text
	}
	answer, err := a.dapr.InvokeMethodWithContent(ctx, service, path, verb, content)
	must(err)
	var out object
	must(json.Unmarshal(answer, &out))
	return out
}

func check(condition bool, words string, values ...any) {
	if !condition {
		log.Fatalf(words, values...)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
