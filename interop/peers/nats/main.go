// Command nats measures NATS JetStream with three replicas the way `stampede bench fanout --receipts` measures this broker: one publisher
// with acknowledged messages in a window, and subscribers that get each of them. It starts nothing: run.sh beside it does.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

func main() {
	urls := flag.String("urls", "nats://127.0.0.1:4221,nats://127.0.0.1:4222,nats://127.0.0.1:4223", "servers")
	subscribers := flag.Int("subscribers", 1, "subscribers, in turn at all servers but the first")
	duration := flag.Duration("duration", 10*time.Second, "how long to publish, after two seconds of warm-up")
	window := flag.Int("window", 20000, "messages without acknowledgement")
	body := flag.Int("body", 128, "bytes of a body")
	flag.Parse()
	if err := measure(strings.Split(*urls, ","), *subscribers, *window, *body, *duration); err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		os.Exit(1)
	}
}

func measure(urls []string, subscribers, window, bodyBytes int, duration time.Duration) error {
	nc, err := nats.Connect(urls[0])
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := nc.JetStream(nats.PublishAsyncMaxPending(window))
	if err != nil {
		return err
	}
	subject := fmt.Sprintf("bench.%d", time.Now().UnixNano())
	stream := strings.ReplaceAll(subject, ".", "-")
	if _, err := js.AddStream(&nats.StreamConfig{Name: stream, Subjects: []string{subject}, Replicas: 3, Storage: nats.FileStorage}); err != nil {
		return err
	}
	defer func() { _ = js.DeleteStream(stream) }() // the servers go with their data
	var received, acked atomic.Int64
	for i := range subscribers {
		sc, err := nats.Connect(urls[1+i%(len(urls)-1)])
		if err != nil {
			return err
		}
		defer sc.Close()
		sjs, err := sc.JetStream()
		if err != nil {
			return err
		}
		if _, err := sjs.Subscribe(subject, func(*nats.Msg) { received.Add(1) }, nats.OrderedConsumer()); err != nil {
			return err
		}
	}
	body := make([]byte, bodyBytes)
	stop := make(chan struct{})
	acks := make(chan nats.PubAckFuture, window)
	var working sync.WaitGroup
	working.Go(func() {
		defer close(acks)
		for {
			select {
			case <-stop:
				return
			default:
			}
			f, err := js.PublishAsync(subject, body)
			if err != nil {
				continue // as many wait as may
			}
			acks <- f
		}
	})
	working.Go(func() {
		for f := range acks {
			select {
			case <-f.Ok():
				acked.Add(1)
			case <-f.Err():
			case <-time.After(10 * time.Second):
			}
		}
	})
	time.Sleep(2 * time.Second)
	a, r, began := acked.Load(), received.Load(), time.Now()
	time.Sleep(duration)
	took := time.Since(began).Seconds()
	fmt.Printf("jetstream replicas=3 subscribers=%d body=%d\n  %10.0f msg/s acknowledged\n  %10.0f deliveries/s\n", subscribers, bodyBytes,
		float64(acked.Load()-a)/took, float64(received.Load()-r)/took)
	close(stop)
	working.Wait()
	return nil
}
