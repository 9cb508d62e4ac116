// Hosts members of hashicorp/memberlist for a comparison with packages/gossip, whose own host is
// gossip-host.ts beside this file: the same settings in, the same lines in and out.
//
//	memberlist-host '{"settings": {...}, "lossRate": 0.1, "delayMaxMs": 0, "seed": 1}'
//
// Commands come as JSON lines on stdin, what happens leaves as JSON lines on stdout. The end of
// stdin ends the process.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// waitingMax is about what a socket's buffer holds.
const waitingMax = 512

// Settings has the names and the meaning of packages/gossip's.
type Settings struct {
	ProbeIntervalMs         int
	ProbeTimeoutMs          int
	IndirectProbes          int
	ProbeByStream           bool
	SuspicionMult           int
	SuspicionMaxTimeoutMult int
	AwarenessMax            int
	GossipIntervalMs        int
	GossipNodes             int
	GossipToTheDeadMs       int
	RetransmitMult          int
	PushPullIntervalMs      int
	StreamTimeoutMs         int
	PacketBytesMax          int
}

type Options struct {
	Settings   Settings
	LossRate   float64
	DelayMaxMs int
	Seed       uint64
}

type Command struct {
	Op      string
	ID      string
	Cluster string
	Join    []string
}

type Line struct {
	Event   string  `json:"event"`
	AtMs    float64 `json:"atMs"`
	ID      string  `json:"id"`
	About   string  `json:"about,omitempty"`
	Address string  `json:"address,omitempty"`
	Detail  string  `json:"detail,omitempty"`
}

var out struct {
	sync.Mutex
	*json.Encoder
}

func say(line Line) {
	line.AtMs = float64(time.Now().UnixMicro()) / 1000
	out.Lock()
	defer out.Unlock()
	if err := out.Encode(line); err != nil {
		os.Exit(1)
	}
}

// observer says what a member comes to believe of the others.
type observer struct{ id string }

func (o observer) NotifyJoin(node *memberlist.Node) { o.say("alive", node) }

func (o observer) NotifyLeave(node *memberlist.Node) {
	if node.State == memberlist.StateLeft {
		o.say("left", node)
	} else {
		o.say("dead", node)
	}
}

func (o observer) NotifyUpdate(*memberlist.Node) {}

func (o observer) say(event string, node *memberlist.Node) {
	if node.Name != o.id {
		say(Line{Event: event, ID: o.id, About: node.Name})
	}
}

// transport is the library's own, which loses and delays datagrams as they leave. While its member
// is starved, datagrams wait in both directions, and streams fail.
type transport struct {
	*memberlist.NetTransport
	options  Options
	packets  chan *memberlist.Packet
	streams  chan net.Conn
	mutex    sync.Mutex
	random   *rand.Rand
	starving chan struct{} // closed at the end; nil while the member is not starved
	waiting  []datagram
}

type datagram struct {
	bytes []byte
	to    memberlist.Address
}

var errStarved = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("starved")}

func newTransport(inner *memberlist.NetTransport, options Options, id string) *transport {
	hash := fnv.New64()
	_, _ = hash.Write([]byte(id))
	t := &transport{
		NetTransport: inner,
		options:      options,
		packets:      make(chan *memberlist.Packet),
		streams:      make(chan net.Conn),
		random:       rand.New(rand.NewPCG(options.Seed, hash.Sum64())),
	}
	go func() {
		for packet := range inner.PacketCh() {
			// What follows waits in the socket's buffer.
			if starving := t.isStarving(); starving != nil {
				<-starving
			}
			t.packets <- packet
		}
	}()
	go func() {
		for stream := range inner.StreamCh() {
			if t.isStarving() != nil {
				_ = stream.Close()
				continue
			}
			t.streams <- stream
		}
	}()
	return t
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

func (t *transport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: address}, timeout)
}

func (t *transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if t.isStarving() != nil {
		return nil, errStarved
	}
	return t.NetTransport.DialAddressTimeout(to, timeout)
}

func (t *transport) WriteTo(bytes []byte, address string) (time.Time, error) {
	return t.WriteToAddress(bytes, memberlist.Address{Addr: address})
}

func (t *transport) WriteToAddress(bytes []byte, to memberlist.Address) (time.Time, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	copied := datagram{append([]byte(nil), bytes...), to}
	if t.starving != nil {
		if len(t.waiting) < waitingMax {
			t.waiting = append(t.waiting, copied)
		}
		return time.Now(), nil
	}
	return time.Now(), t.leave(copied)
}

// begun is set when the pattern begins: before, members find each other in peace.
var begun atomic.Bool

// leave sends a datagram, or loses it. The caller holds the mutex.
func (t *transport) leave(d datagram) error {
	lost := t.random.Float64() < t.options.LossRate
	delayMs := t.random.IntN(t.options.DelayMaxMs + 1)
	if lost && begun.Load() {
		return nil
	}
	if delayMs == 0 || !begun.Load() {
		_, err := t.NetTransport.WriteToAddress(d.bytes, d.to)
		return err
	}
	time.AfterFunc(time.Duration(delayMs)*time.Millisecond, func() {
		_, _ = t.NetTransport.WriteToAddress(d.bytes, d.to)
	})
	return nil
}

func (t *transport) isStarving() chan struct{} {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.starving
}

func (t *transport) starve() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.starving == nil {
		t.starving = make(chan struct{})
	}
}

func (t *transport) feed() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.starving == nil {
		return
	}
	for _, waiting := range t.waiting {
		_ = t.leave(waiting)
	}
	t.waiting = nil
	close(t.starving)
	t.starving = nil
}

type member struct {
	*memberlist.Memberlist
	transport *transport
}

func start(command Command, options Options) (*member, error) {
	logger := log.New(io.Discard, "", 0)
	inner, err := bind(logger)
	if err != nil {
		return nil, err
	}
	port := inner.GetAutoBindPort()
	outer := newTransport(inner, options, command.ID)
	config := configOf(options.Settings)
	config.Name = command.ID
	config.Label = command.Cluster
	config.BindAddr, config.BindPort = "127.0.0.1", port
	config.AdvertiseAddr, config.AdvertisePort = "127.0.0.1", port
	config.Logger = logger
	config.Events = observer{command.ID}
	config.Transport = outer
	list, err := memberlist.Create(config)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if len(command.Join) > 0 {
		if _, err := list.Join(command.Join); err != nil {
			return nil, err
		}
	}
	say(Line{Event: "started", ID: command.ID, Address: address})
	return &member{list, outer}, nil
}

// bind takes a port that is free for both TCP and UDP.
func bind(logger *log.Logger) (*memberlist.NetTransport, error) {
	const triesMax = 20
	for try := 1; ; try++ {
		config := memberlist.NetTransportConfig{BindAddrs: []string{"127.0.0.1"}, Logger: logger}
		transport, err := memberlist.NewNetTransport(&config)
		if err == nil || try == triesMax {
			return transport, err
		}
	}
}

func configOf(s Settings) *memberlist.Config {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	config := memberlist.DefaultLANConfig()
	config.ProbeInterval = ms(s.ProbeIntervalMs)
	config.ProbeTimeout = ms(s.ProbeTimeoutMs)
	config.IndirectChecks = s.IndirectProbes
	config.DisableTcpPings = !s.ProbeByStream
	config.SuspicionMult = s.SuspicionMult
	config.SuspicionMaxTimeoutMult = s.SuspicionMaxTimeoutMult
	// Its scores stay below this number; ours reach ours.
	config.AwarenessMaxMultiplier = s.AwarenessMax + 1
	config.GossipInterval = ms(s.GossipIntervalMs)
	config.GossipNodes = s.GossipNodes
	config.GossipToTheDeadTime = ms(s.GossipToTheDeadMs)
	config.RetransmitMult = s.RetransmitMult
	config.PushPullInterval = ms(s.PushPullIntervalMs)
	config.TCPTimeout = ms(s.StreamTimeoutMs)
	config.UDPBufferSize = s.PacketBytesMax
	return config
}

func main() {
	out.Encoder = json.NewEncoder(os.Stdout)
	var options Options
	if len(os.Args) != 2 || json.Unmarshal([]byte(os.Args[1]), &options) != nil {
		fmt.Fprintln(os.Stderr, "usage: memberlist-host '{\"settings\": {...}, \"seed\": 1}'")
		os.Exit(2)
	}
	members := map[string]*member{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var command Command
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			say(Line{Event: "error", Detail: err.Error()})
			continue
		}
		switch command.Op {
		case "start":
			started, err := start(command, options)
			if err != nil {
				say(Line{Event: "error", ID: command.ID, Detail: err.Error()})
				continue
			}
			members[command.ID] = started
		case "join":
			if _, err := members[command.ID].Join(command.Join); err != nil {
				say(Line{Event: "error", ID: command.ID, Detail: err.Error()})
				continue
			}
			say(Line{Event: "joined", ID: command.ID})
		case "begin":
			begun.Store(true)
		case "kill":
			// Without a leave: its sockets are closed and it says nothing any more.
			say(Line{Event: "killed", ID: command.ID})
			if err := members[command.ID].Shutdown(); err != nil {
				say(Line{Event: "error", ID: command.ID, Detail: err.Error()})
			}
		case "starve":
			members[command.ID].transport.starve()
		case "feed":
			members[command.ID].transport.feed()
		default:
			say(Line{Event: "error", Detail: "unknown op " + command.Op})
		}
	}
}
