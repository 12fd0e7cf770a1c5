package journals

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// readFlags are the flags of read.
type readFlags struct {
	selector, output    string
	block, tail         bool
	offsets, offsetsOut string
	fileRoot            string
	from                int64
}

func readCommand(s *cluster.Flags) *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use:   "read",
		Short: "Read the content of journals",
		Long: `Read the content of the journals that a selector matches, from their begins or the offsets of a file, up to now or,
with --block, for ever. Content of several journals is put together by whole fragments, as far as they are there: each
append is in one piece. With --block, journals that are made later are read as well.

Offsets are JSON: {"acme/rides": 1234}. What --offsets-out wrote when a run ended, also by an interrupt, lets the next one
go on just there. Content that a journal no longer has is passed over, and told in the log. Fully suspended journals have no content.`,
		Example: `  broadsheet journals read -l name=acme/rides
  broadsheet journals read -l prefix=acme/ --block --tail --offsets-out offsets.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.fileRoot != "" {
				s.Brokers.FileRoot = f.fileRoot
			}
			if s.Brokers.FileRoot != "" && s.Brokers.CacheSize == 0 {
				s.Brokers.CacheSize = 1024 // without which stores aren't read directly
			}
			return run(cmd, s, f.run)
		},
	}
	selectorFlag(cmd, &f.selector)
	p := cmd.Flags()
	p.BoolVarP(&f.block, "block", "b", false, "wait for content that isn't there yet, until interrupted")
	p.BoolVar(&f.tail, "tail", false, "begin with what isn't there yet, where --offsets says nothing")
	p.StringVarP(&f.output, "output", "o", "-", "file to write to; - is standard output")
	p.StringVar(&f.offsets, "offsets", "", "file of the offsets to begin at")
	p.StringVar(&f.offsetsOut, "offsets-out", "", "file to write the offsets to at which to go on")
	p.StringVar(&f.fileRoot, "file-root", "", "directory that file:/// stores are rooted at, to read them directly")
	p.Int64Var(&f.from, "from", 0, "pass over fragments that were persisted before, in seconds since 1970")
	return cmd
}

func (f *readFlags) run(ctx context.Context, s *session) error {
	if f.from < 0 {
		return fmt.Errorf("--from: %d isn't a time", f.from)
	}
	offsets, err := readOffsets(f.offsets)
	if err != nil {
		return err
	}
	found, err := s.choose(ctx, f.selector)
	if err != nil {
		return err
	}
	w := s.Out
	if f.output != "-" {
		file, err := os.Create(f.output)
		if err != nil {
			return fmt.Errorf("--output: %w", err)
		}
		defer func() { _ = file.Close() }()
		w = file
	}
	r := newReading(ctx, f, s, &sink{w: bufio.NewWriterSize(w, 64<<10), offsets: offsets})
	err = r.all(found)
	if ctx.Err() != nil {
		err = nil // it was interrupted, as it may be
	}
	out := <-r.turn // nobody else takes it any more
	if flushErr := out.w.Flush(); flushErr != nil {
		return errors.Join(err, flushErr) // and offsets would tell of more than was written
	}
	return errors.Join(err, writeOffsets(f.offsetsOut, out.offsets))
}

// sink is where content goes, and how far each journal was written to it. Who holds it
// has the turn.
type sink struct {
	w       *bufio.Writer
	offsets map[string]int64
}

// reading is one run.
//
// One goroutine reads each journal. At the begin of a fragment it takes the turn, which
// is the sink, and gives it back at the end: so fragments aren't mixed, and no more than a
// buffer of each journal is in memory. A journal whose brokers are lost amid a fragment
// keeps others waiting: that is the price.
type reading struct {
	*readFlags
	*session
	tasks *task.Group
	turn  chan *sink
	slots chan struct{} // of journals that are catching up
	ended chan string   // journals that are no longer read, of which --block may start some again
}

func newReading(ctx context.Context, f *readFlags, s *session, to *sink) *reading {
	r := &reading{
		readFlags: f, session: s, tasks: task.New(ctx, "read"),
		turn: make(chan *sink, 1), slots: make(chan struct{}, cluster.AtOnce), ended: make(chan string),
	}
	r.turn <- to
	return r
}

// all journals, until their ends or for ever.
func (r *reading) all(found []*protocol.ListResponse_Journal) error {
	if !r.block {
		for _, j := range found {
			if !isFull(j) {
				r.start(j.GetSpec().GetName(), r.tail)
			}
		}
		return r.tasks.Wait()
	}
	r.tasks.Go("watch", func(ctx context.Context) error { return r.follow(ctx, found) })
	return r.tasks.Wait()
}

// follow the listing, and read what it has.
func (r *reading) follow(ctx context.Context, found []*protocol.ListResponse_Journal) error {
	selector, err := parseSelector(r.selector)
	if err != nil {
		return err
	}
	list := r.Client.NewWatchedList(selector)
	r.tasks.Go("list", list.Run)
	running := map[string]bool{}
	tail := r.tail
	for {
		changed := list.Changed()
		if now := list.Snapshot(); now != nil {
			found = now.Journals
		}
		for _, j := range found {
			if name := j.GetSpec().GetName(); !running[name] && !isFull(j) {
				running[name] = true
				r.start(name, tail)
			}
		}
		tail = false // what is new from now on is read from its begin
		select {
		case <-changed:
		case name := <-r.ended:
			delete(running, name)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// start reading a journal.
func (r *reading) start(journal string, tail bool) {
	r.tasks.Go(journal, func(ctx context.Context) error {
		err := r.journal(ctx, journal, tail)
		switch {
		case r.block && errors.Is(err, protocol.Status_JOURNAL_NOT_FOUND.Err()):
			if forgetErr := r.forget(ctx, journal); forgetErr != nil {
				return forgetErr
			}
		case !errors.Is(err, protocol.Status_SUSPENDED.Err()):
			return err
		}
		r.Log.LogAttrs(ctx, slog.LevelInfo, "journal isn't read any more", slog.String("journal", journal), slog.String("reason", err.Error()))
		if !r.block {
			return nil
		}
		select {
		case r.ended <- journal:
		case <-ctx.Done():
		}
		return nil
	})
}

// journal is read up to its head, and with --block on from there. Only some catch up at
// once, so that what brokers send ahead is bounded.
func (r *reading) journal(ctx context.Context, journal string, tail bool) error {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	at, err := r.begin(ctx, journal, tail)
	if err == nil {
		at, err = r.pass(ctx, &protocol.ReadRequest{Journal: journal, Offset: at, BeginModTime: r.from})
	}
	<-r.slots
	if !errors.Is(err, protocol.Status_OFFSET_NOT_YET_AVAILABLE.Err()) || !r.block {
		return notYet(err)
	}
	_, err = r.pass(ctx, &protocol.ReadRequest{Journal: journal, Offset: at, BeginModTime: r.from, Block: true})
	return err
}

// notYet is no failure of a read that doesn't wait.
func notYet(err error) error {
	if errors.Is(err, protocol.Status_OFFSET_NOT_YET_AVAILABLE.Err()) {
		return nil
	}
	return err
}

// begin is the offset that a journal is read from.
func (r *reading) begin(ctx context.Context, journal string, tail bool) (int64, error) {
	out, err := r.take(ctx)
	if err != nil {
		return 0, err
	}
	at, known := out.offsets[journal]
	r.turn <- out
	if !known && tail {
		at, err = r.Head(ctx, journal)
	}
	if err == nil {
		r.Log.LogAttrs(ctx, slog.LevelInfo, "reading", slog.String("journal", journal), slog.Int64("offset", at))
	}
	return at, err
}

func (r *reading) take(ctx context.Context) (*sink, error) {
	select {
	case out := <-r.turn:
		return out, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// pass reads until an error, which there always is, and returns how far it came. It goes on
// after content that is gone.
func (r *reading) pass(ctx context.Context, req *protocol.ReadRequest) (int64, error) {
	for {
		reader := r.Client.NewReader(ctx, req)
		err := r.fragments(ctx, req.GetJournal(), reader)
		at := reader.Offset()
		_ = reader.Close()
		jump, jumped := errors.AsType[*client.OffsetJumpError](err)
		if !jumped {
			return at, r.keep(ctx, req.GetJournal(), at, err)
		}
		r.Log.LogAttrs(ctx, slog.LevelWarn, "content is gone, reading on after it",
			slog.String("journal", jump.Journal), slog.Int64("from", jump.From), slog.Int64("to", jump.To))
		req.Offset = jump.To
	}
}

// keep the offset of a journal all of which was written. Any other has that of its last
// write: what was read may not have been written.
func (r *reading) keep(ctx context.Context, journal string, at int64, cause error) error {
	if !errors.Is(cause, protocol.Status_OFFSET_NOT_YET_AVAILABLE.Err()) {
		return cause
	}
	out, err := r.take(ctx)
	if err != nil {
		return err
	}
	out.offsets[journal] = at
	r.turn <- out
	return cause
}

// forget a journal that was deleted: another of its name begins anew.
func (r *reading) forget(ctx context.Context, journal string) error {
	out, err := r.take(ctx)
	if err != nil {
		return err
	}
	delete(out.offsets, journal)
	r.turn <- out
	return nil
}

// fragments are written one by one, each in one turn.
func (r *reading) fragments(ctx context.Context, journal string, reader *client.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := reader.Read(buf) // waits without having the turn
		if n == 0 {
			return err
		}
		out, turnErr := r.take(ctx)
		if turnErr != nil {
			return turnErr
		}
		err = out.fragment(journal, reader, buf, n)
		r.turn <- out
		if err != nil {
			return err
		}
	}
}

// fragment writes the n bytes that were read of one, and the rest of it.
func (s *sink) fragment(journal string, reader *client.Reader, buf []byte, n int) error {
	for {
		if _, err := s.w.Write(buf[:n]); err != nil {
			return fmt.Errorf("write content of %s: %w", journal, err)
		}
		s.offsets[journal] = reader.Offset()
		if reader.Offset() >= reader.FragmentEnd() {
			return s.w.Flush()
		}
		var err error
		if n, err = reader.Read(buf); n == 0 {
			if errors.Is(err, io.EOF) {
				err = s.w.Flush()
			}
			return err
		}
	}
}
