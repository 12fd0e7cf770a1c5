package main

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"time"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/client/publish"
	"broadsheet.dev/broadsheet/client/tail"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// withBrokers is a command that works with a client of brokers.
func withBrokers(use, short string, work func(ctx context.Context, brokers *client.Client, streams int) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	var f flags.Brokers
	f.Add(cmd.Flags(), cmp.Or(os.Getenv("BROKER_ADDRESS"), "http://localhost:8080"))
	streams := cmd.Flags().Int("streams", 100, "how many streams")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := f.Config(nil)
		if err != nil {
			return err
		}
		brokers, err := client.Dial(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		return errors.Join(work(cmd.Context(), brokers, *streams), brokers.Close())
	}
	return cmd
}

// produceCommand publishes streams of 1 to 50 chunks, ten streams at any time.
func produceCommand() *cobra.Command {
	return withBrokers("produce", "Publish random streams", func(ctx context.Context, brokers *client.Client, streams int) error {
		to, err := byStream(ctx, brokers, chunks)
		if err != nil {
			return err
		}
		appends, err := async.New(ctx, brokers, async.Config{})
		if err != nil {
			return err
		}
		// An append whose outcome isn't known is made again: readers tell duplicates by their UUIDs.
		run := appends.NewRun(async.AtLeastOnce)
		publisher := publish.New(run, publish.Config{})
		for open := []Chunk{}; err == nil && (streams > 0 || len(open) > 0); { // It has the last chunk of each.
			for ; streams > 0 && len(open) < 10; streams-- {
				open = append(open, Chunk{Stream: crand.Text(), Seq: -1})
			}
			i := rand.IntN(len(open))
			c := Chunk{Stream: open[i].Stream, Seq: open[i].Seq + 1, Data: make([]byte, rand.IntN(1000))}
			_, _ = crand.Read(c.Data) // which never fails
			c.Sum, c.Last = crc32.Update(open[i].Sum, crc32.IEEETable, c.Data), c.Seq >= rand.IntN(50)
			if open[i] = c; c.Last {
				open = append(open[:i], open[i+1:]...)
			}
			_, err = publisher.PublishCommitted(ctx, to(c.Stream), &c)
		}
		return errors.Join(err, run.Wait(ctx), appends.Close())
	})
}

func verifyCommand() *cobra.Command {
	return withBrokers("verify", "Compare all streams with their sums", func(ctx context.Context, brokers *client.Client, streams int) error {
		v := verifier{published: make(map[string]Sum), summed: make(map[string]Sum)}
		in := tail.New(brokers, tail.Labelled(protocol.LabelMessageType, chunks), func(*protocol.JournalSpec) (message.Message, error) { return new(Chunk), nil })
		out := tail.New(brokers, tail.Labelled(protocol.LabelMessageType, sums), func(*protocol.JournalSpec) (message.Message, error) { return new(Sum), nil })
		for late := time.Now().Add(time.Minute); ; {
			// Sums are read first: of each of them, all chunks are there then.
			err := cmp.Or(out.Read(ctx, v.take), in.Read(ctx, v.take), v.judge(streams))
			if !errors.Is(err, errMissing) || time.Now().After(late) {
				return err
			}
			<-time.After(100 * time.Millisecond)
		}
	})
}

// errMissing is of what may yet come.
var errMissing = errors.New("is missing")

// verifier knows the sums of streams so far, by their chunks, and those that were published.
type verifier struct{ published, summed map[string]Sum }

// take a message. It is an error if it isn't the next chunk of its stream, as that was published, or if it is a second sum.
func (v verifier) take(env message.Envelope) error {
	switch m := env.Message.(type) {
	case *Chunk:
		s := v.published[m.Stream]
		if m.Seq != s.Chunks || m.Sum != crc32.Update(s.Sum, crc32.IEEETable, m.Data) {
			return fmt.Errorf("stream %s: chunk %d, where %d was to come: one was dropped, doubled or changed", m.Stream, m.Seq, s.Chunks)
		}
		v.published[m.Stream] = Sum{Stream: m.Stream, Chunks: m.Seq + 1, Sum: m.Sum}
	case *Sum:
		if _, there := v.summed[m.Stream]; there {
			return fmt.Errorf("stream %s: its sum was doubled", m.Stream)
		}
		v.summed[m.Stream] = Sum{Stream: m.Stream, Chunks: m.Chunks, Sum: m.Sum}
	}
	return nil
}

// judge what was taken.
func (v verifier) judge(streams int) error {
	for name, s := range v.summed {
		if s != v.published[name] {
			return fmt.Errorf("stream %s: %d chunks of the sum %x were published as %d of %x", name, s.Chunks, s.Sum, v.published[name].Chunks, v.published[name].Sum)
		}
	}
	if there := len(v.summed); there < max(streams, len(v.published)) {
		return fmt.Errorf("the sum of %d streams %w", max(streams, len(v.published))-there, errMissing)
	}
	return nil
}
