package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// maxMessage is the largest message that is received, in bytes: a listing is one.
const maxMessage = 256 << 20

// consumerFlags say where consumers are, and who asks them.
type consumerFlags struct {
	address             string
	files               certs.Files
	authKeys, authToken string
}

func (f *consumerFlags) add(p *pflag.FlagSet) {
	p.StringVar(&f.address, "consumer.address", "http://localhost:8080", "address of a consumer: http://host:port, https://host:port or unix:///path")
	p.StringVar(&f.files.Cert, "consumer.cert-file", "", "file of the certificate that consumers are shown")
	p.StringVar(&f.files.Key, "consumer.cert-key-file", "", "file of that certificate's key")
	p.StringVar(&f.files.CA, "consumer.trusted-ca-file", "", "file of the authorities that consumers' certificates are of")
	p.StringVar(&f.authKeys, "consumer.auth-keys", "", "keys of the consumers, to sign tokens with")
	p.StringVar(&f.authToken, "consumer.auth-token", "", "token that consumers are shown")
	settings.MarkSecret(p, "consumer.auth-keys")
	settings.MarkSecret(p, "consumer.auth-token")
}

// consumers of one application, any of which answers for all.
type consumers struct {
	address     string
	conn        *grpc.ClientConn
	rpc         shards.ShardClient
	credentials client.Credentials // nil is none
}

// dial doesn't wait for a connection.
func (f *consumerFlags) dial(log *slog.Logger) (*consumers, error) {
	u, err := url.Parse(f.address)
	if err != nil {
		return nil, fmt.Errorf("--consumer.address: %w", err)
	}
	target, secrets := "dns:///"+u.Host, insecure.NewCredentials()
	switch {
	case u.Scheme == "unix" && (u.Host == "" || u.Host == "localhost") && len(u.Path) > 1:
		target = "unix://" + u.Path
	case u.Scheme == "https" && u.Port() != "":
		secrets = credentials.NewTLS(nil)
	case u.Scheme == "http" && u.Port() != "":
	default:
		return nil, speech.WithHint(fmt.Errorf("--consumer.address %q: isn't the address of a server", f.address),
			"write it as http://host:port, https://host:port or unix:///path")
	}
	if !f.files.IsZero() {
		if u.Scheme != "https" {
			return nil, speech.WithHint(fmt.Errorf("--consumer.address %s: isn't https, and certificates are given", f.address), "use an https address, or leave the certificates out")
		}
		source, err := certs.Load(f.files, log)
		if err != nil {
			return nil, fmt.Errorf("--consumer.cert-file, --consumer.trusted-ca-file: %w", err)
		}
		secrets = credentials.NewTLS(source.Client())
	}
	c := &consumers{address: f.address}
	if c.credentials, err = flags.CredentialsFor("consumer", f.authKeys, f.authToken); err != nil {
		return nil, err
	}
	c.conn, err = grpc.NewClient(target, grpc.WithTransportCredentials(secrets), grpc.WithUserAgent("broadsheet"), grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("--consumer.address: %w", err)
	}
	c.rpc = shards.NewShardClient(c.conn)
	return c, nil
}

func (c *consumers) close() error { return c.conn.Close() }

// answer of a consumer.
type answer interface {
	GetStatus() shards.Status
	Validate() error
}

// ask a consumer for something that a capability allows. What the answer's status says is an error, too.
func ask[Q any, A answer](ctx context.Context, c *consumers, wants auth.Capability, rpc func(context.Context, Q, ...grpc.CallOption) (A, error), req Q, shard string) (A, error) {
	var none A
	if c.credentials != nil {
		token, err := c.credentials.Authorization(ctx, "", uint32(wants))
		if err != nil {
			return none, err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, auth.Header, token)
	}
	r, err := rpc(ctx, req)
	if err != nil && ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	if err != nil {
		return none, cluster.Advise(err, "consumer", c.address)
	}
	if s := r.GetStatus(); s.Validate() == nil && s != shards.Status_OK {
		return none, advised(&shards.StatusError{Status: s, Shard: shard})
	}
	if err := r.Validate(); err != nil {
		return none, fmt.Errorf("consumer broke the protocol: %w", err)
	}
	return r, nil
}

// hints of what can be done about the status of an answer.
var hints = map[shards.Status]string{
	shards.Status_ETCD_TRANSACTION_FAILED: "somebody else changed one of the shards, or it exists already: list them again, and apply to what is there",
	shards.Status_SHARD_NOT_FOUND:         "'broadsheet shards list' shows which there are; --consumer.address says which application's they are",
	shards.Status_NO_SHARD_PRIMARY:        "no consumer has it: is one running, with room for more shards?",
	shards.Status_SHARD_STOPPED:           "it has failed, or stops just now: 'broadsheet shards list -o json' has the errors of shards",
}

func advised(err *shards.StatusError) error {
	if hint := hints[err.Status]; hint != "" {
		return speech.WithHint(err, hint)
	}
	return err
}

// list the shards that a selector matches, in the order of their ids.
func (c *consumers) list(ctx context.Context, selector *protocol.LabelSelector) ([]*shards.ListResponse_Shard, error) {
	r, err := ask(ctx, c, auth.List, c.rpc.List, &shards.ListRequest{Selector: selector}, "")
	if err != nil {
		return nil, fmt.Errorf("list shards: %w", err)
	}
	slices.SortFunc(r.GetShards(), func(a, b *shards.ListResponse_Shard) int {
		return strings.Compare(a.GetSpec().GetId(), b.GetSpec().GetId())
	})
	return r.GetShards(), nil
}

// apply changes in batches of at most size, each all or none; 0 is one batch. It returns the revision of the last one.
func (c *consumers) apply(ctx context.Context, changes []*shards.ApplyRequest_Change, size int) (int64, error) {
	if size == 0 {
		size = max(len(changes), 1)
	}
	revision, done := int64(0), 0
	for batch := range slices.Chunk(changes, size) {
		r, err := ask(ctx, c, auth.Apply, c.rpc.Apply, &shards.ApplyRequest{Changes: batch}, "")
		switch {
		case err != nil && done != 0:
			return 0, fmt.Errorf("apply specs: after %s that were made: %w", plural(done, "change"), err)
		case err != nil:
			return 0, fmt.Errorf("apply specs: %w", err)
		}
		revision, done = r.GetHeader().GetEtcd().GetRevision(), done+len(batch)
	}
	return revision, nil
}

// stat of a shard, once it has read through the offsets.
func (c *consumers) stat(ctx context.Context, id string, through map[string]int64) (*shards.StatResponse, error) {
	r, err := ask(ctx, c, auth.Read, c.rpc.Stat, &shards.StatRequest{Shard: id, ReadThrough: through}, id)
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", id, err)
	}
	return r, nil
}

// maxUnassigned is how many shards are unassigned by one request: each may lose four assignments, and etcd makes 128 changes at once.
const maxUnassigned = 32

// unassign shards, and return the ids of those that were, or would be.
func (c *consumers) unassign(ctx context.Context, ids []string, onlyFailed, dryRun bool) ([]string, error) {
	var out []string
	for batch := range slices.Chunk(ids, maxUnassigned) {
		r, err := ask(ctx, c, auth.Apply, c.rpc.Unassign, &shards.UnassignRequest{Shards: batch, OnlyFailed: onlyFailed, DryRun: dryRun}, "")
		if err != nil {
			return out, fmt.Errorf("unassign: %w", err)
		}
		out = append(out, r.GetShards()...)
	}
	return out, nil
}

// isStatus tells whether an error is of an answer's status.
func isStatus(err error, of ...shards.Status) bool {
	return slices.ContainsFunc(of, func(s shards.Status) bool { return errors.Is(err, s.Err()) })
}
