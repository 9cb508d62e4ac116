// What somebody would write with go-redis; see ../README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	connections = 6
	pipelines   = 5
	pipelined   = 40
	rounds      = 15
)

var ctx = context.Background()

type program struct{ address, token, prefix string }

func check(ok bool, what string, args ...any) {
	if !ok {
		fmt.Fprintf(os.Stderr, what+"\n", args...)
		os.Exit(1)
	}
}

func good[T any](value T, err error) T {
	check(err == nil, "an answer: %v", err)
	return value
}

// Commands are not repeated by the client itself, so that what was not answered is known.
func (p program) client(protocol int) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: p.address, Password: p.token, Protocol: protocol, ClientName: "judge",
		PoolSize: connections * 2, MaxRetries: -1,
	})
}

func (p program) connect(protocol int) {
	client := p.client(protocol)
	defer client.Close()
	check(good(client.Ping(ctx).Result()) == "PONG", "PING")
	check(good(client.ClientID(ctx).Result()) > 0, "CLIENT ID")
	check(good(client.ClientGetName(ctx).Result()) == "judge", "CLIENT GETNAME")
	check(strings.Contains(good(client.Info(ctx).Result()), "role:master"), "INFO")
	check(len(good(client.Command(ctx).Result())) > 10, "COMMAND")
	wrong := p
	wrong.token = "wrong"
	err := wrong.client(protocol).Ping(ctx).Err()
	check(err != nil && strings.HasPrefix(err.Error(), "WRONGPASS"), "a wrong token: %v", err)
	wrong.token = ""
	err = wrong.client(protocol).Ping(ctx).Err()
	check(err != nil && strings.HasPrefix(err.Error(), "NOAUTH"), "no token: %v", err)
}

func (p program) types(protocol int) {
	client := p.client(protocol)
	defer client.Close()
	conn := client.Conn()
	defer conn.Close()
	set := fmt.Sprintf("%s-set-%d", p.prefix, protocol)
	check(good(conn.Do(ctx, "CRDT.SADD", set, "a", "b", "ü c").Int()) == 3, "SADD")
	check(good(conn.Do(ctx, "CRDT.SREM", set, "a").Int()) == 1, "SREM")
	check(good(conn.Do(ctx, "CRDT.SISMEMBER", set, "b").Int()) == 1, "SISMEMBER")
	members := good(conn.Do(ctx, "CRDT.SMEMBERS", set).StringSlice())
	check(strings.Join(members, "|") == "b|ü c", "SMEMBERS: %v", members)
	register := fmt.Sprintf("%s-register-%d", p.prefix, protocol)
	check(good(conn.Do(ctx, "CRDT.SET", register, "line\r\n").Text()) == "OK", "SET")
	check(good(conn.Do(ctx, "CRDT.READ", register).Text()) == "line\r\n", "READ")
	_, err := conn.Do(ctx, "CRDT.READ", register+"-none").Result()
	check(errors.Is(err, redis.Nil), "a register that nobody wrote: %v", err)
	err = conn.Do(ctx, "CRDT.INCR", set, 1).Err()
	check(err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE"), "WRONGTYPE: %v", err)
	err = conn.Do(ctx, "CRDT.INCR", set, "one").Err()
	check(err != nil && strings.HasPrefix(err.Error(), "ERR value is not an integer"), "ERR: %v", err)
	view := good(conn.Do(ctx, "CRDT.MEMBERS").Result())
	if protocol == 3 {
		members := view.(map[any]any)["members"].([]any)
		check(len(members) == 3 && members[0].(map[any]any)["state"] == "alive", "MEMBERS: %v", view)
	} else {
		check(len(view.([]any)) == 6 && len(view.([]any)[5].([]any)) == 3, "MEMBERS: %v", view)
	}
}

// each runs work on connections of their own, which the balancer spreads over all replicas.
func (p program) each(protocol int, work func(worker int, conn *redis.Conn)) {
	client := p.client(protocol)
	defer client.Close()
	conns := make([]*redis.Conn, connections)
	for i := range conns {
		conns[i] = client.Conn()
		check(conns[i].Ping(ctx).Err() == nil, "PING")
	}
	var wait sync.WaitGroup
	for worker, conn := range conns {
		wait.Go(func() {
			work(worker, conn)
			conn.Close()
		})
	}
	wait.Wait()
}

func (p program) count(protocol int) {
	p.each(protocol, func(worker int, conn *redis.Conn) {
		for i := range pipelines {
			pipe := conn.Pipeline()
			for j := range pipelined {
				id := fmt.Sprintf("%d-%d-%d-%d", protocol, worker, i, j/2)
				pipe.Do(ctx, "CRDT.INCR", p.prefix+"-plain", 1)
				pipe.Do(ctx, "CRDT.INCR", p.prefix+"-ops", 2, "OPID", id)
			}
			good(pipe.Exec(ctx))
		}
	})
}

func (p program) session() {
	client := p.client(3)
	defer client.Close()
	conns := []*redis.Conn{client.Conn(), client.Conn(), client.Conn()}
	name := p.prefix + "-session"
	for i := range rounds {
		writer, reader := conns[i%3], conns[(i+1)%3]
		good(writer.Do(ctx, "CRDT.INCR", name, 1).Result())
		token := good(writer.Do(ctx, "CRDT.TOKEN").Text())
		for reader.Do(ctx, "CRDT.AFTER", token).Err() != nil {
		}
		value := good(reader.Do(ctx, "CRDT.GET", name).Int())
		check(value == i+1, "read %d after %d writes", value, i+1)
	}
}

func (p program) killed() (acknowledged, repeated int) {
	var lock sync.Mutex
	var unanswered []string
	var cutAt time.Time
	deadline := time.Now().Add(20 * time.Second)
	told := false
	name := p.prefix + "-killed"
	p.each(3, func(worker int, conn *redis.Conn) {
		client := p.client(3)
		defer client.Close()
		var do func(context.Context, ...any) *redis.Cmd = conn.Do
		for i := 0; ; i++ {
			id := fmt.Sprintf("killed-%d-%d", worker, i)
			err := do(ctx, "CRDT.INCR", name, 1, "OPID", id).Err()
			lock.Lock()
			if err == nil {
				acknowledged++
			} else {
				unanswered = append(unanswered, id)
				if cutAt.IsZero() {
					cutAt = time.Now()
				}
				do = client.Do
			}
			if acknowledged > 100 && !told {
				told = true
				fmt.Println("counting")
			}
			over := !cutAt.IsZero() && time.Since(cutAt) > 500*time.Millisecond
			lock.Unlock()
			check(time.Now().Before(deadline), "nobody was cut off")
			if over {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	fmt.Println("cut")
	bufio.NewReader(os.Stdin).ReadString('\n')
	client := p.client(2)
	defer client.Close()
	for _, id := range unanswered {
		good(client.Do(ctx, "CRDT.INCR", name, 1, "OPID", id).Result())
	}
	return acknowledged + len(unanswered), len(unanswered)
}

func main() {
	p := program{"127.0.0.1:" + os.Args[1], os.Args[2], os.Args[3]}
	for _, protocol := range []int{2, 3} {
		p.connect(protocol)
		p.types(protocol)
		p.count(protocol)
	}
	p.session()
	killed, repeated := p.killed()
	each := 2 * connections * pipelines * pipelined
	json.NewEncoder(os.Stdout).Encode(map[string]int{
		"plain": each, "ops": each, "session": rounds, "killed": killed, "repeated": repeated,
	})
}
