package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/test/system"
)

// fleet of an etcd and a broker, each a process.
type fleet struct {
	dir          string
	program      string
	etcd, broker *process
	keys         *clientv3.Client
	brokers      *client.Client
	hosts        int // that were started
}

// startFleet starts one that has nothing in it.
func (b *bench) startFleet(ctx context.Context) (*fleet, error) {
	dir, err := os.MkdirTemp(b.dir, "f")
	if err != nil {
		return nil, err
	}
	f := &fleet{dir: dir}
	if err := f.start(ctx); err != nil {
		f.stop()
		return nil, err
	}
	return f, nil
}

func (f *fleet) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if f.program, err = system.Binary(); err != nil {
		return err
	}
	if f.etcd, err = launch(self, roleEtcd, f.dir); err != nil {
		return err
	}
	files := filepath.Join(f.dir, "fragments")
	if err := os.Mkdir(files, 0o750); err != nil {
		return err
	}
	f.broker, err = launch(f.program, "broker", "--etcd.address", f.etcd.said["etcd"], "--data-dir", filepath.Join(f.dir, "broker"),
		"--broker.bind", "127.0.0.1", "--broker.host", "127.0.0.1", "--broker.file-root", files)
	if err != nil {
		return err
	}
	if f.keys, err = clientv3.New(clientv3.Config{Endpoints: []string{f.etcd.said["etcd"]}, Logger: zap.NewNop()}); err != nil {
		return err
	}
	f.brokers, err = client.Dial(ctx, client.Config{Endpoint: f.endpoint()})
	return err
}

func (f *fleet) endpoint() string { return "http://" + f.broker.said["broker"] }

// stop all of it.
func (f *fleet) stop() {
	if f.brokers != nil {
		_ = f.brokers.Close()
	}
	if f.keys != nil {
		_ = f.keys.Close()
	}
	for _, p := range []*process{f.broker, f.etcd} {
		if p != nil {
			p.kill()
		}
	}
	_ = os.RemoveAll(f.dir)
}

// create journals of a content type.
func (f *fleet) create(ctx context.Context, contentType string, names ...string) error {
	var changes []*protocol.ApplyRequest_Change
	for _, name := range names {
		changes = append(changes, &protocol.ApplyRequest_Change{Upsert: &protocol.JournalSpec{
			Name: name, Replication: 1, Labels: protocol.MustLabelSet("content-type", contentType),
			Fragment: &protocol.JournalSpec_Fragment{
				Length: 64 << 20, CompressionCodec: protocol.CompressionCodec_NONE, Stores: []string{"file:///"}, RefreshInterval: durationpb.New(time.Minute),
			},
		}})
	}
	_, err := f.brokers.ApplyInBatches(ctx, changes, 32)
	return err
}

// fill a new journal with so many messages, of so many keys, each with a text beside, and return where it ends.
func (f *fleet) fill(ctx context.Context, journal string, count, keys, text int) (int64, error) {
	if err := f.create(ctx, message.JSONLines, journal); err != nil {
		return 0, err
	}
	var head int64
	var out bytes.Buffer
	filler := bytes.Repeat([]byte("x"), text)
	for i := range count {
		fmt.Fprintf(&out, "{\"key\":\"key-%07d\",\"n\":%d,\"text\":\"%s\"}\n", i*7919%keys, i%100, filler)
		if out.Len() < 1<<20 && i < count-1 {
			continue
		}
		end, err := f.append(ctx, journal, out.Bytes())
		if err != nil {
			return 0, err
		}
		head = end
		out.Reset()
	}
	return head, nil
}

// append to a journal, and return where that ends.
func (f *fleet) append(ctx context.Context, journal string, text []byte) (int64, error) {
	r, err := f.brokers.Append(ctx, client.AppendParams{Journal: journal}, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	if r.GetStatus() != protocol.Status_OK {
		return 0, errors.New(journal + ": " + r.GetStatus().String())
	}
	return r.GetCommit().GetEnd(), nil
}
