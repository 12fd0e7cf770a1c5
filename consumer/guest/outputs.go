package guest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// LabelOutputs of a shard are the journals that its program may publish to: names, and beginnings of names that end with a slash.
// Without it that is all journals; but whoever comes with a token that isn't for everything publishes nowhere then.
const LabelOutputs = "broadsheet.dev/outputs"

const (
	// listedFor is how long a listing of journals is used, and maxListed how many are kept.
	listedFor = 10 * time.Second
	maxListed = 1024
)

// lister lists journals. *client.Client is one.
type lister interface {
	List(ctx context.Context, selector *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error)
}

// outputs of a shard: where its program's messages go.
type outputs struct {
	from    lister
	allowed []string

	mu     sync.Mutex
	listed map[string]listing // by the text of a selector, or by a name after "="
}

type listing struct {
	at         time.Time
	partitions *mapping.Partitions
}

func newOutputs(from lister, spec *shards.ShardSpec) *outputs {
	return &outputs{from: from, allowed: spec.GetLabels().ValuesOf(LabelOutputs), listed: make(map[string]listing)}
}

// route of a message.
func (o *outputs) route(ctx context.Context, p *shardv1.Publish) (mapping.Partition, error) {
	var none mapping.Partition
	var parts *mapping.Partitions
	var err error
	switch {
	case p.GetJournal() != "" && p.GetSelector() != "":
		return none, errors.New("has both a journal and a selector")
	case p.GetJournal() != "" && len(p.GetKey()) > 0:
		return none, errors.New("has a key, which is for a selector, and a journal")
	case p.GetJournal() != "":
		parts, err = o.named(ctx, p.GetJournal())
	case p.GetSelector() != "":
		parts, err = o.selected(ctx, p.GetSelector())
	default:
		return none, errors.New("has neither a journal nor a selector")
	}
	if err != nil {
		return none, err
	}
	to, err := mapping.Modulo(parts, p.GetKey())
	if err != nil {
		return none, fmt.Errorf("selector %s: %w", p.GetSelector(), err)
	}
	return to, o.mayPublish(ctx, to)
}

// mayPublish tells whether a program may publish to a journal.
func (o *outputs) mayPublish(ctx context.Context, to mapping.Partition) error {
	claims, ok := auth.FromContext(ctx)
	switch {
	case to.ContentType == message.RecoveryLog:
		return status.Errorf(codes.PermissionDenied, "journal %s is a recovery log", to.Journal)
	case len(o.allowed) == 0 && ok && !claims.Unscoped():
		return status.Errorf(codes.PermissionDenied,
			"journal %s: the Authorization token isn't for all shards, so the shard needs the label %s", to.Journal, LabelOutputs)
	case len(o.allowed) == 0:
		return nil
	}
	for _, a := range o.allowed {
		if a == to.Journal || strings.HasSuffix(a, "/") && strings.HasPrefix(to.Journal, a) {
			return nil
		}
	}
	return status.Errorf(codes.PermissionDenied, "journal %s isn't among the shard's labels %s", to.Journal, LabelOutputs)
}

func (o *outputs) named(ctx context.Context, name string) (*mapping.Partitions, error) {
	if err := protocol.ValidateJournalName(name); err != nil {
		return nil, fmt.Errorf("journal %q: %w", name, err)
	}
	p, err := o.list(ctx, "="+name, &protocol.LabelSelector{Include: protocol.MustLabelSet(protocol.MetaLabelName, name)})
	if err == nil && p.Len() != 1 {
		return nil, status.Errorf(codes.NotFound, "journal %s isn't there", name)
	}
	return p, err
}

func (o *outputs) selected(ctx context.Context, text string) (*mapping.Partitions, error) {
	selector, err := protocol.ParseLabelSelector(text)
	if err != nil {
		return nil, fmt.Errorf("selector %q: %w", text, err)
	}
	if len(selector.GetInclude().GetLabels()) == 0 {
		return nil, fmt.Errorf("selector %q: includes no label", text)
	}
	return o.list(ctx, text, selector)
}

// list journals, or return those that were listed a moment ago. A listing without any isn't kept: they may be on their way.
func (o *outputs) list(ctx context.Context, key string, selector *protocol.LabelSelector) (*mapping.Partitions, error) {
	o.mu.Lock()
	l, ok := o.listed[key]
	o.mu.Unlock()
	if ok && time.Since(l.at) < listedFor {
		return l.partitions, nil
	}
	journals, err := o.from.List(ctx, selector)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "list journals: %v", err)
	}
	l = listing{at: time.Now(), partitions: mapping.Of(journals)}
	if l.partitions.Len() == 0 {
		return l.partitions, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.listed) >= maxListed {
		clear(o.listed)
	}
	o.listed[key] = l
	return l.partitions, nil
}
