package guest

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/client/publish"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
	"broadsheet.dev/broadsheet/message"
)

const (
	// maxKey is the largest key of the state, in bytes.
	maxKey = 64 << 10
	// maxChanges is how many bytes all changes of a transaction have at most.
	maxChanges = 64 << 20
	// entryCost is what is counted for each change beside its bytes.
	entryCost = 64
	// maxText is how many bytes of a failure's text are told.
	maxText = 4 << 10
)

// changes that were checked.
type changes struct {
	deletes   [][]byte
	puts      []*shardv1.Entry
	publishes []publication
}

// publication is a message, and where it goes.
type publication struct {
	mapping publish.Mapping
	message message.Message
}

// sizeOf changes.
func sizeOf(c *shardv1.Changes) int {
	size := 0
	for _, d := range c.GetDeletes() {
		size += len(d) + entryCost
	}
	for _, p := range c.GetPuts() {
		size += len(p.GetKey()) + len(p.GetValue()) + entryCost
	}
	for _, p := range c.GetPublishes() {
		size += len(p.GetDocument()) + len(p.GetJournal()) + len(p.GetSelector()) + len(p.GetKey()) + entryCost
	}
	return size
}

func errTooLarge() error {
	return status.Errorf(codes.InvalidArgument, "changes of a transaction have more than %d bytes", maxChanges)
}

// check changes, before anything of them is done. An error is of gRPC, and names what is wrong.
func check(ctx context.Context, out *outputs, c *shardv1.Changes) (*changes, error) {
	if sizeOf(c) > maxChanges {
		return nil, errTooLarge()
	}
	checked := &changes{deletes: c.GetDeletes(), puts: c.GetPuts()}
	for i, key := range c.GetDeletes() {
		if err := checkKey(key); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "deletes[%d]: %v", i, err)
		}
	}
	for i, put := range c.GetPuts() {
		if err := checkKey(put.GetKey()); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "puts[%d]: %v", i, err)
		}
	}
	for i, p := range c.GetPublishes() {
		one, err := checkPublish(ctx, out, p)
		if err != nil {
			s, _ := status.FromError(err)
			code := s.Code()
			if code == codes.Unknown {
				code = codes.InvalidArgument
			}
			return nil, status.Errorf(code, "publishes[%d]: %v", i, s.Message())
		}
		checked.publishes = append(checked.publishes, one)
	}
	return checked, nil
}

func checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return errors.New("the key is empty")
	case len(key) > maxKey:
		return fmt.Errorf("the key has %d bytes (expected at most %d)", len(key), maxKey)
	case pebblestore.Reserved(key):
		return fmt.Errorf("the key %q is the checkpoint's", key)
	}
	return nil
}

// checkPublish finds where a message goes, and makes it one of that journal.
func checkPublish(ctx context.Context, out *outputs, p *shardv1.Publish) (publication, error) {
	to, err := out.route(ctx, p)
	if err != nil {
		return publication{}, err
	}
	media, err := mediaOf(to.ContentType)
	if err != nil {
		return publication{}, fmt.Errorf("journal %s: %w", to.Journal, err)
	}
	if len(p.GetDocument()) > maxDocument {
		return publication{}, fmt.Errorf("the document has %d bytes (expected at most %d)", len(p.GetDocument()), maxDocument)
	}
	var m message.Message
	if media == message.CSV {
		m, err = newRecord(p.GetDocument())
	} else {
		m, err = newObject(p.GetDocument())
	}
	if err != nil {
		return publication{}, fmt.Errorf("the document for %s: %w", to.Journal, err)
	}
	return publication{mapping: func(message.Message) (mapping.Partition, error) { return to, nil }, message: m}, nil
}

// checkFailure of a transaction.
func checkFailure(d *desk, token string, f *shardv1.Failure) (*shardv1.Failure, error) {
	if f.GetJournal() != "" && !d.has(token, f.GetJournal(), f.GetOffset()) {
		return nil, status.Errorf(codes.InvalidArgument, "the transaction has no message of %s that begins at %d", f.GetJournal(), f.GetOffset())
	}
	text := f.GetText()
	if text == "" {
		text = "it gave the transaction up"
	}
	return &shardv1.Failure{Journal: f.GetJournal(), Offset: f.GetOffset(), Text: text[:min(len(text), maxText)]}, nil
}
