package sqlgw

import (
	"context"
	"crypto/sha1" //nolint:gosec // the protocol's checksum
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"sync"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/fragments/columnar"
)

// proofKey names a proof: some content, under a schema. The sum of the content is taken
// with its range, so that a proof can't be used for another length.
type proofKey struct {
	sum        [20]byte
	begin, end int64
	schema     uint64
}

func keyOf(f fragments.Fragment, schema uint64) proofKey {
	return proofKey{sum: f.Sum, begin: f.Begin, end: f.End, schema: schema}
}

// proofs remembers which fragments are proven clean under which schema. A fragment never
// changes, so a proof holds for ever; what is met for the first time is proven behind the
// statement that met it, which meanwhile uses the decoder. It is safe for concurrent use.
type proofs struct {
	log *slog.Logger
	dir string // of the file that remembers them, "" for none
	// copied makes a file of a fragment that has none of its own; release is to be called when it was read.
	copied func(context.Context, fragments.Fragment) (path string, release func(), err error)

	mu     sync.Mutex
	known  map[proofKey]columnar.Proof
	order  []proofKey // oldest first, to forget
	asked  map[proofKey]struct{}
	queue  []proofJob
	wakeup chan struct{} // has room for one
}

// maxProofs bounds the memory of proofs: about 100 bytes each.
const maxProofs = 1 << 20

// maxQueued bounds the fragments that wait to be proven; further ones are asked for again
// by the next statement that meets them.
const maxQueued = 1 << 14

// proofJob is a fragment to prove, and the file that holds it; "" if a copy does.
type proofJob struct {
	fragment fragments.Fragment
	path     string
	schema   columnar.Schema
	key      proofKey
}

func newProofs(log *slog.Logger, dir string) *proofs {
	return &proofs{log: log, dir: dir, known: map[proofKey]columnar.Proof{}, asked: map[proofKey]struct{}{}, wakeup: make(chan struct{}, 1)}
}

// get returns the proof of a fragment, if it is known. If not, it will be proven.
func (p *proofs) get(f fragments.Fragment, path string, schema columnar.Schema, fingerprint uint64) (columnar.Proof, bool) {
	key := keyOf(f, fingerprint)
	p.mu.Lock()
	defer p.mu.Unlock()
	if proof, ok := p.known[key]; ok {
		return proof, true
	}
	if _, ok := p.asked[key]; !ok && len(p.queue) < maxQueued {
		p.asked[key] = struct{}{}
		p.queue = append(p.queue, proofJob{fragment: f, path: path, schema: schema, key: key})
		select {
		case p.wakeup <- struct{}{}:
		default:
		}
	}
	return columnar.Proof{}, false
}

// run proves what is asked for until ctx is done. One runs at a time: statements come first.
// It begins with what was proven before this process, and remembers what it proves.
func (p *proofs) run(ctx context.Context) error {
	file := openProofFile(ctx, p.dir, p.log, p.put)
	defer file.close()
	for {
		job, ok := p.next()
		if !ok {
			select {
			case <-ctx.Done():
				return nil
			case <-p.wakeup:
			}
			continue
		}
		proof, err := p.prove(ctx, job)
		if err != nil && ctx.Err() != nil {
			return nil // it was ended by the context
		}
		if _, later := errors.AsType[*notCopiedError](err); later {
			p.log.LogAttrs(ctx, slog.LevelWarn, "a stored fragment can't be copied now; it is served through the brokers",
				slog.String("store", job.fragment.Store), slog.String("object", job.fragment.ContentPath()), slog.Any("error", err))
			p.drop(job.key)
			continue
		}
		if err != nil {
			p.log.LogAttrs(ctx, slog.LevelError, "a stored fragment can't be verified; it is served through the brokers",
				slog.String("file", job.path), slog.Any("error", err))
			proof = columnar.Proof{} // not clean, and known to be so until this process ends
		}
		p.put(job.key, proof)
		if err == nil {
			file.add(ctx, job.key, proof, p.snapshot)
		}
	}
}

// notCopiedError is why a fragment can't be copied now. It may be later.
type notCopiedError struct{ error }

// prove a fragment, by way of a copy if it needs one.
func (p *proofs) prove(ctx context.Context, job proofJob) (columnar.Proof, error) {
	if job.path != "" {
		return prove(ctx, job)
	}
	path, release, err := p.copied(ctx, job.fragment)
	if err != nil && !forGood(err) {
		return columnar.Proof{}, &notCopiedError{err}
	}
	if err != nil {
		return columnar.Proof{}, err
	}
	defer release()
	job.path = path
	return prove(ctx, job)
}

// drop what was asked for: the next statement that meets it asks again.
func (p *proofs) drop(key proofKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.asked, key)
}

// next takes a job off the queue.
func (p *proofs) next() (proofJob, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 {
		job := p.queue[0]
		p.queue = p.queue[1:]
		if _, known := p.known[job.key]; !known {
			return job, true
		}
		delete(p.asked, job.key)
	}
	return proofJob{}, false
}

// put remembers a proof, and forgets the oldest if there are too many.
func (p *proofs) put(key proofKey, proof columnar.Proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.asked, key)
	if _, ok := p.known[key]; !ok {
		p.order = append(p.order, key)
	}
	p.known[key] = proof
	if len(p.order) > maxProofs {
		delete(p.known, p.order[0])
		p.order = p.order[1:]
	}
}

// snapshot returns what was proven of content that could be verified, oldest first.
func (p *proofs) snapshot() []provenFragment {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []provenFragment
	for _, key := range p.order {
		if proof := p.known[key]; proof.Schema == key.schema && proof.Length == key.end-key.begin {
			out = append(out, provenFragment{key, proof})
		}
	}
	return out
}

// prove reads a fragment's file once: that its content has the length and sum of its name,
// and whether DuckDB reads it as the decoder does.
func prove(ctx context.Context, job proofJob) (columnar.Proof, error) {
	f, err := os.Open(job.path)
	if err != nil {
		return columnar.Proof{}, err
	}
	defer func() { _ = f.Close() }()
	want := job.fragment.End - job.fragment.Begin
	content, err := codec.NewReader(job.fragment.Codec, f, want)
	if err != nil {
		return columnar.Proof{}, err
	}
	defer func() { _ = content.Close() }()
	sum := &summed{r: content, ctx: ctx, sum: sha1.New()} //nolint:gosec // the protocol's checksum
	proof, err := columnar.NewProver(job.schema).Prove(sum)
	if err != nil {
		return columnar.Proof{}, err
	}
	if sum.n != want || [20]byte(sum.sum.Sum(nil)) != job.fragment.Sum {
		return columnar.Proof{}, fmt.Errorf("its %d bytes aren't the %d that its name promises, or have another sum", sum.n, want)
	}
	return proof, nil
}

// summed takes the length and sum of what is read through it.
type summed struct {
	r   io.Reader
	ctx context.Context //nolint:containedctx // of the one proof that reads through it
	sum hash.Hash
	n   int64
}

func (s *summed) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(b)
	s.n += int64(n)
	_, _ = s.sum.Write(b[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("at %d: %w", s.n, err)
	}
	return n, err
}
