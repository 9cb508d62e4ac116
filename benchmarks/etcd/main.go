// What etcd does by itself, to measure strong appends and leases against: raw puts, and acquiring and
// releasing a lock of its own. Prints how many a second.
//
//	etcd -endpoints 127.0.0.1:2379 -do put|mutex -clients 64 -bytes 400 -for 3s
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const sessionSeconds = 60

// loop is what one client does again and again.
type loop func() error

func main() {
	endpoints := flag.String("endpoints", "", "host:port of the members, separated by commas")
	do := flag.String("do", "put", "put or mutex")
	clients := flag.Int("clients", 64, "how many are at work at once, each on its own key")
	bytes := flag.Int("bytes", 400, "of each value")
	duration := flag.Duration("for", 3*time.Second, "how long")
	flag.Parse()
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   strings.Split(*endpoints, ","),
		DialTimeout: 5 * time.Second,
	})
	check(err)
	defer client.Close()
	loops := make([]loop, *clients)
	for n := range loops {
		loops[n], err = newLoop(client, *do, n, *bytes)
		check(err)
	}
	fmt.Println(perSecond(loops, *duration))
}

func newLoop(client *clientv3.Client, do string, n, bytes int) (loop, error) {
	ctx := context.Background()
	switch do {
	case "put":
		key, value := fmt.Sprintf("bench/%d", n), strings.Repeat("v", bytes)
		return func() error {
			_, err := client.Put(ctx, key, value)
			return err
		}, nil
	case "mutex":
		session, err := concurrency.NewSession(client, concurrency.WithTTL(sessionSeconds))
		if err != nil {
			return nil, err
		}
		mutex := concurrency.NewMutex(session, fmt.Sprintf("bench-lock/%d", n))
		return func() error {
			if err := mutex.Lock(ctx); err != nil {
				return err
			}
			return mutex.Unlock(ctx)
		}, nil
	}
	return nil, fmt.Errorf("nothing is called %q", do)
}

func perSecond(loops []loop, duration time.Duration) float64 {
	var done atomic.Int64
	var running sync.WaitGroup
	began := time.Now()
	for _, one := range loops {
		running.Add(1)
		go func() {
			defer running.Done()
			for time.Since(began) < duration {
				check(one())
				done.Add(1)
			}
		}()
	}
	running.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
