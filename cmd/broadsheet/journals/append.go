package journals

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/message"
)

const (
	// maxRecord is the most bytes of a record or a key.
	maxRecord = 64 << 20
	// maxBatch is how many bytes of records are appended to a journal at once, and
	// maxWaiting how many wait for that, over all journals.
	maxBatch, maxWaiting = 1 << 20, 64 << 20
)

// appendFlags are the flags of append.
type appendFlags struct {
	selector, input  string
	framing, mapping listing.Choice
	base64           bool
	stdin            io.Reader
}

func appendCommand(s *cluster.Flags) *cobra.Command {
	f := appendFlags{
		framing: listing.Choice{Value: "none", Of: []string{"none", "lines", "fixed"}},
		mapping: listing.Choice{Value: "random", Of: []string{"random", "modulo", "rendezvous", "direct"}},
	}
	cmd := &cobra.Command{
		Use:   "append",
		Short: "Append to journals",
		Long: `Append what is read to the journals that a selector matches.

Without framing, all of the input is one append to one of the journals, which has it wholly or not at all.
With framing, the input is records: lines, or "fixed" frames of Protobuf messages. Each is whole in one
journal; records that are read together may share an append.

The mapping chooses the journal of each record: at random; by the remainder or the rendezvous of a hash of its
key, as Gazette's clients do; or directly, by name. All but random ask for framing, and each record is
preceded by one that is its key, or the name, and isn't appended.

If it fails, or is interrupted, the error tells how many records were appended before.`,
		Example: `  broadsheet journals append -l name=acme/rides -i rides.json
  tail -f rides.json | broadsheet journals append -l prefix=acme/rides/ --framing lines`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.stdin = cmd.InOrStdin()
			return run(cmd, s, f.run)
		},
	}
	selectorFlag(cmd, &f.selector)
	p := cmd.Flags()
	p.StringVarP(&f.input, "input", "i", "-", "file to read; - is standard input")
	p.VarP(&f.framing, "framing", "f", "framing of records in the input")
	p.VarP(&f.mapping, "mapping", "m", "mapping of records to journals")
	p.BoolVar(&f.base64, "base64", false, "keys of the modulo and rendezvous mappings are in base64")
	return cmd
}

func (f *appendFlags) validate() error {
	keyed := f.mapping.Value != "random"
	switch {
	case keyed && f.framing.Value == "none":
		return speech.WithHint(fmt.Errorf("--mapping %s: it needs records, and --framing is none", f.mapping.Value), "say how records are framed with --framing lines or fixed")
	case f.base64 && f.mapping.Value != "modulo" && f.mapping.Value != "rendezvous":
		return fmt.Errorf("--base64: records of --mapping %s have no keys", f.mapping.Value)
	}
	return nil
}

func (f *appendFlags) run(ctx context.Context, s *session) error {
	if err := f.validate(); err != nil {
		return err
	}
	found, err := s.choose(ctx, f.selector)
	if err != nil {
		return err
	}
	in := f.stdin
	if f.input != "-" {
		file, err := os.Open(f.input)
		if err != nil {
			return fmt.Errorf("--input: %w", err)
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	partitions := mapping.Of(found)
	if f.framing.Value == "none" {
		return appendWhole(ctx, s, partitions, in)
	}
	a := appending{
		session: s, in: bufio.NewReaderSize(in, 64<<10), framing: message.Lines, partitions: partitions,
		mapping: f.mapping.Value, base64: f.base64, waiting: map[string]*batch{},
	}
	if f.framing.Value == "fixed" {
		a.framing = message.Fixed
	}
	return a.all(ctx)
}

// appendWhole appends all of the input at once. It is kept in a file first, so that a
// slow writer doesn't keep others waiting, and so that it can be sent again.
func appendWhole(ctx context.Context, s *session, partitions *mapping.Partitions, in io.Reader) error {
	to, err := mapping.Random(partitions, nil)
	if err != nil {
		return err
	}
	body, ok := in.(io.ReadSeeker)
	if ok {
		_, err := body.Seek(0, io.SeekCurrent)
		ok = err == nil // a pipe is a file too
	}
	if !ok {
		file, err := os.CreateTemp("", "broadsheet-append")
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		if err := os.Remove(file.Name()); err != nil {
			return err
		}
		if _, err := io.Copy(file, readerOf(ctx, in)); err != nil {
			return fmt.Errorf("read the input: %w", err)
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		body = file
	}
	r, err := s.Client.Append(ctx, client.AppendParams{Journal: to.Journal}, body)
	if err != nil {
		return err
	}
	s.Log.LogAttrs(ctx, slog.LevelInfo, "appended", slog.String("journal", to.Journal),
		slog.Int64("begin", r.GetCommit().GetBegin()), slog.Int64("end", r.GetCommit().GetEnd()))
	return nil
}

// readerOf stops reading once a context has ended.
func readerOf(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// batch of records that wait to be appended to one journal.
type batch struct {
	records int
	content []byte
}

// appending reads records and appends them.
type appending struct {
	*session
	in         *bufio.Reader
	framing    message.Framing
	partitions *mapping.Partitions
	mapping    string
	base64     bool

	waiting  map[string]*batch
	bytes    int // that wait
	read     int // records
	appended int // records
}

// all records of the input. What was read before an error is appended first.
func (a *appending) all(ctx context.Context) error {
	err := a.records(ctx)
	if flushErr := a.flush(ctx); flushErr != nil {
		err = errors.Join(flushErr, err)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w (%s appended before)", err, plural(a.appended, "record"))
	}
	a.Log.LogAttrs(ctx, slog.LevelInfo, "appended", slog.Int("records", a.appended))
	return nil
}

// records until the end of the input, which is io.EOF.
func (a *appending) records(ctx context.Context) error {
	for ctx.Err() == nil {
		to, err := a.next()
		if err != nil {
			return err
		}
		// Records that come slowly are appended as they come.
		if a.in.Buffered() == 0 || a.bytes >= maxWaiting {
			err = a.flush(ctx)
		} else if len(a.waiting[to].content) >= maxBatch {
			err = a.send(ctx, to)
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// next reads a record and its key, and lets it wait for its journal, which it returns.
func (a *appending) next() (string, error) {
	to, err := a.destination()
	if err != nil {
		return "", err
	}
	record, err := a.frame()
	if errors.Is(err, io.EOF) && a.mapping != "random" {
		err = errors.New("the input ends after a key, before its record")
	}
	if err != nil {
		return "", err
	}
	b := a.waiting[to]
	if b == nil {
		b = new(batch)
		a.waiting[to] = b
	}
	b.content = append(b.content, record...)
	b.records++
	a.bytes += len(record)
	a.read++
	return to, nil
}

// destination of the next record.
func (a *appending) destination() (string, error) {
	choose := mapping.Random
	var key []byte
	if a.mapping != "random" {
		frame, err := a.frame()
		if err != nil {
			return "", err
		}
		key = a.framing.Message(frame)
	}
	switch a.mapping {
	case "direct":
		return a.named(string(key))
	case "modulo":
		choose = mapping.Modulo
	case "rendezvous":
		choose = mapping.Rendezvous
	}
	if a.base64 {
		decoded, err := base64.StdEncoding.AppendDecode(nil, key)
		if err != nil {
			return "", fmt.Errorf("record %d: its key isn't base64: %w", a.read+1, err)
		}
		key = decoded
	}
	to, err := choose(a.partitions, key)
	return to.Journal, err
}

// named is a journal that the selector matches.
func (a *appending) named(name string) (string, error) {
	for i := range a.partitions.Len() {
		if a.partitions.At(i).Journal == name {
			return name, nil
		}
	}
	return "", fmt.Errorf("record %d: the selector matches no journal %q", a.read+1, name)
}

// frame reads the next one.
func (a *appending) frame() ([]byte, error) {
	frame, err := a.framing.ReadFrame(a.in, maxRecord)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return frame, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, speech.WithHint(fmt.Errorf("record %d: the input ends within it", a.read+1), "it may have been cut off; a last line has to end with a line feed")
	}
	return nil, fmt.Errorf("record %d: %w", a.read+1, err)
}

// flush appends all that waits, in the order of journals.
func (a *appending) flush(ctx context.Context) error {
	names := make([]string, 0, len(a.waiting))
	for name := range a.waiting {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := a.send(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// send what waits for a journal.
func (a *appending) send(ctx context.Context, journal string) error {
	b := a.waiting[journal]
	delete(a.waiting, journal)
	a.bytes -= len(b.content)
	_, err := a.Client.Append(ctx, client.AppendParams{Journal: journal}, bytes.NewReader(b.content))
	if err == nil {
		a.appended += b.records
	}
	return err
}
