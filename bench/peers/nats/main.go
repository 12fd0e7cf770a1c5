// Command nats stands beside the brokers in bench/brokers: "nats server" runs NATS servers
// with JetStream in this process, as many as there are replicas, and "nats load" publishes
// to them and prints what it measured as JSON. It is a module of its own, so that nothing
// of NATS is in ours.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func main() {
	err := errors.New("it is 'nats server' or 'nats load'")
	if len(os.Args) > 1 && os.Args[1] == "server" {
		err = serve(os.Args[2:])
	} else if len(os.Args) > 1 && os.Args[1] == "load" {
		err = load(os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		os.Exit(1)
	}
}

// stream that is published to, and its subject.
const stream, subject = "bench", "bench.one"

// serve until standard input ends. It prints the URL of a client's port.
func serve(args []string) error {
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	dir := fs.String("dir", "", "directory of the stores")
	replicas := fs.Int("replicas", 1, "servers, and replicas of the stream")
	if err := fs.Parse(args); err != nil {
		return err
	}
	servers, err := start(*dir, *replicas)
	for _, s := range servers {
		defer s.WaitForShutdown()
		defer s.Shutdown()
	}
	if err != nil {
		return err
	}
	if err := makeStream(servers[0].ClientURL(), *replicas); err != nil {
		return err
	}
	fmt.Println(servers[0].ClientURL())
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

// start servers that know each other. JetStream wants to know all routes before it begins, so
// their ports are chosen first.
func start(dir string, n int) ([]*server.Server, error) {
	var routes []*url.URL
	var listeners []net.Listener
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: ln.Addr().String()})
		listeners = append(listeners, ln)
	}
	for _, ln := range listeners { // All at once, so that no two are the same.
		if err := ln.Close(); err != nil {
			return nil, err
		}
	}
	return startAt(dir, routes)
}

// startAt starts a server for each route, and waits until clients may connect.
func startAt(dir string, routes []*url.URL) ([]*server.Server, error) {
	var servers []*server.Server
	for i, at := range routes {
		o := &server.Options{
			ServerName: fmt.Sprintf("nats-%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(dir, strconv.Itoa(i)), MaxPayload: 8 << 20,
		}
		if len(routes) > 1 {
			port, err := strconv.Atoi(at.Port())
			if err != nil {
				return servers, err
			}
			o.Cluster = server.ClusterOpts{Name: "bench", Host: "127.0.0.1", Port: port}
			o.Routes = routes
		}
		s, err := server.NewServer(o)
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
		s.Start()
	}
	for _, s := range servers {
		if !s.ReadyForConnections(30 * time.Second) {
			return servers, fmt.Errorf("%s isn't ready", s.Name())
		}
	}
	return servers, nil
}

// makeStream makes the stream, once the servers have a leader.
func makeStream(at string, replicas int) error {
	conn, err := nats.Connect(at)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := conn.JetStream()
	if err != nil {
		return err
	}
	again := time.NewTicker(100 * time.Millisecond) // until its servers have elected a leader
	defer again.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; {
		_, err = js.AddStream(&nats.StreamConfig{
			Name: stream, Subjects: []string{subject}, Replicas: replicas, Storage: nats.FileStorage, MaxBytes: 1 << 30, Discard: nats.DiscardOld,
		})
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-again.C
	}
}

// result of a load; its fields are those of an outcome of bench/brokers.
type result struct {
	Rate, Megabytes, P50, P99 float64
	Appends                   int
}

// load publishes for a time, and prints what came of it.
func load(args []string) error {
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	at := fs.String("url", "", "URL of a server")
	size := fs.Int("size", 256, "bytes of a message")
	writers := fs.Int("writers", 1, "writers, on one connection")
	duration := fs.Duration("duration", time.Second, "how long")
	async := fs.Bool("async", false, "publish ahead of acknowledgements")
	if err := fs.Parse(args); err != nil {
		return err
	}
	conn, err := nats.Connect(*at)
	if err != nil {
		return err
	}
	defer conn.Close()
	lost := make(chan error, 1) // the first failure of a publication that nobody waited for
	js, err := conn.JetStream(nats.PublishAsyncMaxPending(4096), nats.PublishAsyncErrHandler(func(_ nats.JetStream, _ *nats.Msg, err error) {
		select {
		case lost <- err:
		default:
		}
	}))
	if err != nil {
		return err
	}
	body := bytes.Repeat([]byte("x"), *size)
	latencies, counts, errs := make([][]float64, *writers), make([]int, *writers), make([]error, *writers)
	begun := time.Now()
	var all sync.WaitGroup
	for w := range *writers {
		all.Go(func() {
			for errs[w] == nil && time.Since(begun) < *duration {
				sent := time.Now()
				if *async {
					_, errs[w] = js.PublishAsync(subject, body, nats.StallWait(30*time.Second))
				} else if _, errs[w] = js.Publish(subject, body); errs[w] == nil {
					latencies[w] = append(latencies[w], float64(time.Since(sent).Nanoseconds())/1000)
				}
				counts[w]++
			}
		})
	}
	all.Wait()
	if *async {
		select {
		case <-js.PublishAsyncComplete():
		case <-time.After(30 * time.Second):
			return errors.New("publications aren't acknowledged")
		}
		select {
		case err := <-lost:
			return fmt.Errorf("a publication failed: %w", err)
		default:
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	took, n := time.Since(begun).Seconds(), 0
	for _, c := range counts {
		n += c
	}
	r := result{Rate: float64(n) / took, Megabytes: float64(n) * float64(*size) / took / 1e6, Appends: n}
	if l := slices.Sorted(slices.Values(slices.Concat(latencies...))); len(l) > 0 {
		r.P50, r.P99 = l[len(l)/2], l[len(l)*99/100]
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}
