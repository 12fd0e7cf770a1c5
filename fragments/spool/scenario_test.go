package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// scenario is a machine with one disk, and one journal on it.
type scenario struct {
	fs       *hookFS
	boot     int
	dir      *spool.Dir
	j        *spool.Journal
	commits  map[string]*spool.Commit
	contents map[string]fragments.Content
}

// TestScenarios runs the stories in testdata. Names of files are as in the journal's
// directory; "crash" is a power loss, "kill" the end of the process alone.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, file string) {
		s := &scenario{fs: newHookFS(vfs.NewCrashableMem()), commits: map[string]*spool.Commit{}, contents: map[string]fragments.Content{}}
		datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
			if d.HasArg("trace") {
				return s.traced(func() string { return s.run(t, d) })
			}
			return s.run(t, d)
		})
	})
}

// traced shows what a command does to the disk, in order; but what is synced at the
// same time is sorted.
func (s *scenario) traced(fn func() string) string {
	var mu sync.Mutex
	var ops []string
	s.fs.setHook(func(o op) error {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case o.kind == "write":
			ops = append(ops, fmt.Sprintf("  write %d bytes to %s", o.size, o.name))
		case o.changes():
			ops = append(ops, "  "+o.String())
		}
		return nil
	})
	out := fn()
	s.fs.setHook(nil)
	for i := 0; i < len(ops); i++ {
		n := i
		for n < len(ops) && strings.HasPrefix(ops[n], "  sync 0") {
			n++
		}
		slices.Sort(ops[i:n])
		i = max(i, n-1)
	}
	return strings.Join(append(ops, out), "\n")
}

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "open":
		return s.openCmd(t, d)
	case "append":
		return s.appendCmd(t, d)
	case "write-only":
		err := s.j.Write([]byte(d.Input))
		end, sum := s.j.Next()
		return outcome(err, fmt.Sprintf("%d bytes, next end %d sum %x", s.j.Delta(), end, sum[:4]))
	case "rollback":
		return outcome(s.j.Rollback(), "rolled back")
	case "durable":
		var name string
		d.ScanArgs(t, "as", &name)
		return outcome(s.commits[name].Durable(context.Background()), "durable")
	case "acknowledge":
		end := s.j.State().Durable
		d.MaybeScanArgs(t, "end", &end)
		return outcome(s.j.Acknowledge(end), fmt.Sprintf("acknowledged up to %d", end))
	case "roll":
		return s.rollCmd(t, d)
	case "align":
		return s.alignCmd(t, d)
	case "cut":
		var keep int64
		d.ScanArgs(t, "keep", &keep)
		return s.outcomeState(s.j.Cut(keep))
	case "drop":
		return s.dropCmd(t, d)
	case "read":
		return s.readCmd(t, d)
	case "close":
		return outcome(s.j.Close(), "closed cleanly")
	case "state":
		return s.state()
	case "log":
		return s.logCmd(t, d)
	case "files":
		return s.files(t)
	default:
		return s.runDisk(t, d)
	}
}

// runDisk are the commands that do something to the disk.
func (s *scenario) runDisk(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "crash", "kill":
		percent := 100
		if d.Cmd == "crash" {
			d.ScanArgs(t, "keep", &percent)
			s.boot++
		}
		s.fs = newHookFS(s.fs.crash(percent, newRand(1)))
		s.dir, s.j = nil, nil
		return ""
	case "fail":
		return s.failCmd(t, d)
	case "flip":
		var at int64
		d.ScanArgs(t, "byte", &at)
		s.change(t, d, func(f vfs.File) error {
			b := make([]byte, 1)
			_, err := f.ReadAt(b, at)
			if err == nil {
				_, err = f.WriteAt([]byte{b[0] ^ 1}, at)
			}
			return err
		})
		return ""
	case "write":
		var at int64
		d.ScanArgs(t, "byte", &at)
		s.change(t, d, func(f vfs.File) error { _, err := f.WriteAt([]byte(d.Input), at); return err })
		return ""
	case "remove":
		require.NoError(t, s.fs.Remove(s.path(d.CmdArgs[0].Key)))
		return ""
	case "discard":
		return outcome(s.dir.Discard(s.id(t, d)), "discarded")
	case "journals":
		var out strings.Builder
		for _, id := range s.dir.Journals() {
			fmt.Fprintf(&out, "%s revision %d\n", id.Journal, id.CreateRevision)
		}
		return out.String()
	default:
		return "unknown command\n"
	}
}

var diskID = regexp.MustCompile("on disk [0-9a-f]{32}")

// outcome is the error, without the long names of directories, or what went well.
func outcome(err error, ok string) string {
	if err == nil {
		return ok + "\n"
	}
	text := diskID.ReplaceAllString(err.Error(), "on disk <random>")
	for {
		i := strings.Index(text, spoolDir+"/")
		if i < 0 {
			return text + "\n"
		}
		end := i
		for end < len(text) && text[end] != ' ' && text[end] != ':' && text[end] != ',' {
			end++
		}
		text = text[:i] + path.Base(text[i:end]) + text[end:]
	}
}

func (s *scenario) id(t *testing.T, d *datadriven.TestData) spool.ID {
	t.Helper()
	id := spool.ID{Journal: "acct/orders", CreateRevision: 42}
	d.MaybeScanArgs(t, "revision", &id.CreateRevision)
	d.MaybeScanArgs(t, "journal", &id.Journal)
	return id
}

func (s *scenario) openCmd(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	mode := spool.Synced
	if d.HasArg("replicated") {
		mode = spool.Replicated
	}
	var err error
	if s.dir == nil {
		if s.dir, err = spool.Open(context.Background(), config(s.fs, mode, s.boot)); err != nil {
			return outcome(err, "")
		}
	}
	if d.HasArg("directory-only") {
		return outcome(nil, "opened")
	}
	o := spool.JournalOptions{Codec: protocol.CompressionCodec_NONE}
	d.MaybeScanArgs(t, "first", &o.FirstOffset)
	j, err := s.dir.Journal(context.Background(), s.id(t, d), o)
	if err != nil {
		return outcome(err, "")
	}
	s.j = j
	return s.state()
}

func (s *scenario) appendCmd(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	c, err := write(s.j, []byte(d.Input), registersOf(d))
	if err != nil {
		return outcome(err, "")
	}
	var name string
	d.MaybeScanArgs(t, "as", &name)
	s.commits[name] = c
	text := fmt.Sprintf("[%d, %d)", c.Begin, c.End)
	if d.HasArg("as") {
		return text + "\n"
	}
	if err := c.Durable(context.Background()); err != nil || d.HasArg("durable") {
		return outcome(err, text+" durable")
	}
	return outcome(s.j.Acknowledge(c.End), text+" acknowledged")
}

func (s *scenario) rollCmd(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	next := spool.RollOptions{Codec: protocol.CompressionCodec_NONE, Begin: s.j.State().End}
	d.MaybeScanArgs(t, "begin", &next.Begin)
	var codec string
	if d.MaybeScanArgs(t, "codec", &codec) {
		next.Codec = protocol.CompressionCodec(protocol.CompressionCodec_value[codec])
	}
	return s.outcomeState(s.j.Roll(next))
}

func (s *scenario) alignCmd(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	a := spool.Alignment{Codec: protocol.CompressionCodec_NONE, Registers: registersOf(d), Discard: d.HasArg("discard")}
	d.ScanArgs(t, "epoch", &a.Epoch)
	d.MaybeScanArgs(t, "keep", &a.Keep)
	d.MaybeScanArgs(t, "start", &a.Start)
	return s.outcomeState(s.j.Align(a))
}

// outcomeState is the error, or the state.
func (s *scenario) outcomeState(err error) string {
	if err != nil {
		return outcome(err, "")
	}
	return s.state()
}

func registersOf(d *datadriven.TestData) *protocol.LabelSet {
	for _, arg := range d.CmdArgs {
		if arg.Key == "registers" {
			return protocol.MustLabelSet(arg.Vals...)
		}
	}
	return nil
}

func (s *scenario) dropCmd(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var f fragments.Fragment
	d.ScanArgs(t, "begin", &f.Begin)
	d.ScanArgs(t, "end", &f.End)
	return outcome(s.j.Drop(f), "dropped")
}

// readCmd reads a range, through the content that was first asked for by a name.
func (s *scenario) readCmd(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var begin, end int64
	d.ScanArgs(t, "begin", &begin)
	d.ScanArgs(t, "end", &end)
	content := s.j.Open().Local
	for _, c := range s.j.Completed() {
		if c.Begin <= begin && begin < c.End {
			content = c.Content
		}
	}
	var name string
	if d.MaybeScanArgs(t, "as", &name) {
		if s.contents[name] == nil {
			s.contents[name] = content
		}
		content = s.contents[name]
	}
	p := make([]byte, end-begin)
	n, err := content.ReadAt(p, begin)
	text := fmt.Sprintf("%q", p[:n])
	if errors.Is(err, io.EOF) {
		return text + " and the end\n"
	}
	return strings.TrimPrefix(outcome(err, text), "\n")
}

func (s *scenario) state() string {
	var out strings.Builder
	line := func(f fragments.Fragment, registers *protocol.LabelSet, first bool) {
		fmt.Fprintf(&out, "[%d, %d) %v sum %x%s", f.Begin, f.End, f.Codec, f.Sum[:4], describe(registers))
		if first {
			out.WriteString(" appended")
		}
		out.WriteByte('\n')
	}
	for _, c := range s.j.Completed() {
		out.WriteString("completed ")
		line(c.Fragment, c.Registers, !c.FirstAppend.IsZero())
	}
	st := s.j.State()
	out.WriteString("open      ")
	line(fragments.Fragment{Begin: st.Begin, End: st.End, Sum: st.Sum, Codec: st.Codec}, st.Registers, !st.FirstAppend.IsZero())
	fmt.Fprintf(&out, "watermark %d durable %d epoch %d opening %d", st.Watermark, st.Durable, st.Epoch, st.Opening)
	for _, flag := range []struct {
		name string
		on   bool
	}{{"fresh", st.Recovery.Fresh}, {"clean", st.Recovery.Clean}, {"suspect", st.Recovery.Suspect}} {
		if flag.on {
			out.WriteString(" " + flag.name)
		}
	}
	if st.Recovery.CutBytes > 0 {
		fmt.Fprintf(&out, " cut %d bytes", st.Recovery.CutBytes)
	}
	out.WriteByte('\n')
	if err := s.j.Failed(); err != nil {
		out.WriteString("failed: " + outcome(err, ""))
	}
	return out.String()
}

func describe(set *protocol.LabelSet) string {
	var out strings.Builder
	for _, l := range set.GetLabels() {
		fmt.Fprintf(&out, " %s=%s", l.GetName(), l.GetValue())
	}
	return out.String()
}

// path of a file of the journal, of whichever revision has it.
func (s *scenario) path(name string) string {
	if name == "FORMAT" || name == "DISK" {
		return spoolDir + "/" + name
	}
	dirs, _ := s.fs.mem.List(spoolDir)
	slices.Sort(dirs)
	for _, dir := range dirs {
		if _, err := s.fs.mem.Stat(spoolDir + "/" + dir + "/" + name); err == nil {
			return spoolDir + "/" + dir + "/" + name
		}
	}
	return name
}

// change a file, durably.
func (s *scenario) change(t *testing.T, d *datadriven.TestData, fn func(vfs.File) error) {
	t.Helper()
	f, err := s.fs.mem.OpenReadWrite(s.path(d.CmdArgs[0].Key), vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	require.NoError(t, errors.Join(fn(f), f.Sync(), f.Close()))
}

// failCmd makes the next operations of a kind on a file fail.
func (s *scenario) failCmd(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	if len(d.CmdArgs) == 0 {
		s.fs.setHook(nil)
		return ""
	}
	kind, pattern, times := d.CmdArgs[0].Key, d.CmdArgs[1].Key, 1<<30
	d.MaybeScanArgs(t, "times", &times)
	s.fs.torn = 0
	d.MaybeScanArgs(t, "torn", &s.fs.torn)
	s.fs.setHook(func(o op) error {
		if match, _ := path.Match(pattern, o.name); match && o.kind == kind && times > 0 {
			times--
			return syscall.ENOSPC
		}
		return nil
	})
	return ""
}

func (s *scenario) logCmd(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	f, err := s.fs.mem.Open(s.path(d.CmdArgs[0].Key))
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	return spool.DumpLog(d.CmdArgs[0].Key, f, info.Size())
}

// files of the directory, with their sizes. The random disk identity isn't shown.
func (s *scenario) files(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	dirs, err := s.fs.mem.List(spoolDir)
	require.NoError(t, err)
	slices.Sort(dirs)
	for _, dir := range dirs {
		info, err := s.fs.mem.Stat(spoolDir + "/" + dir)
		require.NoError(t, err)
		if !info.IsDir() {
			fmt.Fprintf(&out, "%s %d\n", dir, info.Size())
			continue
		}
		names, err := s.fs.mem.List(spoolDir + "/" + dir)
		require.NoError(t, err)
		slices.Sort(names)
		fmt.Fprintf(&out, "%s/\n", dir)
		for _, name := range names {
			info, err := s.fs.mem.Stat(spoolDir + "/" + dir + "/" + name)
			require.NoError(t, err)
			fmt.Fprintf(&out, "  %s %d\n", name, info.Size())
		}
	}
	return out.String()
}
