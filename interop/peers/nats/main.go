// Command nats puts the load of `stampede bench fanout` on three NATS servers: one publisher, subscribers at other servers, 128-byte bodies.
// It publishes to a JetStream stream with three copies on disk and waits for acknowledgements, a window of them at a time; with -core it
// publishes what nobody keeps. It prints one line in Go's benchmark format. Servers are counted from the one that leads the stream.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	servers     []string
	publish     int   // the server of the publisher
	subscribe   []int // the servers of the subscribers, in turn
	subscribers int
	body        int
	window      int           // messages without their acknowledgement; beyond it the publisher waits
	backlog     uint64        // messages ahead of a subscriber; beyond it the publisher waits; 0: never
	rate        float64       // messages a second; 0: as many as go
	core        bool          // not JetStream
	duration    time.Duration // of the measurement
	warmup      time.Duration // before it
}

const (
	stampBytes = 16               // hexadecimal digits of the time of sending, at the start of a body
	stall      = 10 * time.Second // what has not come so long after anything came is lost
)

func parse(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("nats", flag.ContinueOnError)
	servers := flags.String("servers", "", "URLs of the servers, with commas")
	subscribe := flags.String("subscribe", "1,2", "numbers of the servers to subscribe at, in turn")
	flags.IntVar(&o.publish, "publish", 0, "number of the server to publish at")
	flags.IntVar(&o.subscribers, "subscribers", 1, "subscribing connections")
	flags.IntVar(&o.body, "body", 128, "bytes of each body")
	flags.IntVar(&o.window, "window", 1000, "messages that may wait for their acknowledgement")
	flags.Uint64Var(&o.backlog, "backlog", 0, "messages that the publisher may be ahead of a subscriber (0: any)")
	flags.Float64Var(&o.rate, "rate", 0, "messages a second (0: as many as go)")
	flags.BoolVar(&o.core, "core", false, "publish what nobody keeps")
	flags.DurationVar(&o.duration, "duration", 10*time.Second, "how long to measure")
	flags.DurationVar(&o.warmup, "warmup", time.Second, "time before the measuring begins")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.servers = strings.Split(*servers, ",")
	for text := range strings.SplitSeq(*subscribe, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n >= len(o.servers) {
			return nil, fmt.Errorf("-subscribe %s: want numbers of servers", *subscribe)
		}
		o.subscribe = append(o.subscribe, n)
	}
	if *servers == "" || o.publish < 0 || o.publish >= len(o.servers) || o.body < stampBytes || o.window < 1 || o.subscribers < 1 {
		return nil, errors.New("want -servers, -publish among them, -body of at least 16, -window and -subscribers of at least 1")
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	r := &run{options: o, began: time.Now()}
	if err := r.all(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
