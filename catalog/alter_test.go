package catalog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/protocol"
)

func textColumn(name string) Column {
	return Column{Name: name, Type: columnar.Type{Kind: columnar.Text}}
}

// alter changes a table, which has to succeed.
func (w *world) alter(c *Catalog, t Table, change func(*Alteration) error) Table {
	w.t.Helper()
	altered, err := c.AlterTable(w.t.Context(), t, change)
	require.NoError(w.t, err)
	require.NoError(w.t, altered.Pending)
	require.Equal(w.t, altered.Table, w.table(altered.Table.Schema, altered.Table.Name), "what is returned is what is kept")
	w.inStep(altered.Table)
	return altered.Table
}

// inStep holds that the journals of a table are what its entry says.
func (w *world) inStep(t Table) {
	w.t.Helper()
	w.brokers.mu.Lock()
	defer w.brokers.mu.Unlock()
	n := 0
	for name, spec := range w.brokers.specs {
		if spec.GetLabels().ValueOf(LabelTableID) == strconv.FormatInt(t.ID, 10) {
			n++
			require.Equal(w.t, t.journalSpec(DefaultDatabase, name).String(), spec.String())
		}
	}
	require.Equal(w.t, t.Options.Journals, n)
}

// TestColumnsKeepTheirLines holds that no change of a table lets a column have what lines have of another.
func TestColumnsKeepTheirLines(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	spec := smallTable("t")
	spec.Columns = append(spec.Columns, textColumn("b"))
	table, err := c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	was := table.Version

	table = w.alter(c, table, func(a *Alteration) error {
		x := textColumn("c")
		x.Default, x.Missing = "'x'", `"x"`
		return errors.Join(a.RenameColumn(1, "id"), a.AddColumn(x), a.AddColumn(textColumn("a")))
	})
	require.Greater(t, table.Version, was)
	var keys []string
	told := func() []string {
		keys = nil
		for _, x := range table.Columns {
			keys = append(keys, fmt.Sprintf("%d %s %s %s", x.ID, x.Name, x.lineKey(), x.Missing))
		}
		return keys
	}
	require.Equal(t, []string{`1 id a `, `2 b b `, `3 c c "x"`, `4 a a.4 `}, told())

	table = w.alter(c, table, func(a *Alteration) error { return errors.Join(a.DropColumn(2), a.DropColumn(4)) })
	require.Equal(t, []DroppedColumn{{ID: 2, Key: "b"}, {ID: 4, Key: "a.4"}}, table.Dropped)
	table = w.alter(c, table, func(a *Alteration) error {
		return errors.Join(a.AddColumn(textColumn("B")), a.AddColumn(textColumn("a.4")))
	})
	require.Equal(t, []string{`1 id a `, `3 c c "x"`, `5 B B.5 `, `6 a.4 a.4.6 `}, told())
	table = w.alter(c, table, func(a *Alteration) error { return a.RenameColumn(1, "a") })
	require.Equal(t, `1 a a `, told()[0], "it has its old name again")

	was = table.Version
	table = w.alter(c, table, func(a *Alteration) error { a.Table.Comment = "said"; return nil })
	require.Equal(t, was, table.Version, "rows are what they were")

	for what, change := range map[string]func(*Alteration) error{
		"taken":   func(a *Alteration) error { return a.AddColumn(textColumn("c")) },
		"folded":  func(a *Alteration) error { return a.AddColumn(textColumn("C")) },
		"meta":    func(a *Alteration) error { return a.AddColumn(textColumn("_offset")) },
		"renamed": func(a *Alteration) error { return a.RenameColumn(1, "c") },
		"missing": func(a *Alteration) error { x := textColumn("y"); x.Missing = "7"; return a.AddColumn(x) },
		"only one": func(a *Alteration) error {
			return errors.Join(a.DropColumn(1), a.DropColumn(3), a.DropColumn(5), a.DropColumn(6))
		},
		"its own":   func(*Alteration) error { return errFault },
		"no schema": func(a *Alteration) error { a.Table.Schema = "nowhere"; return nil },
	} {
		_, err := c.AlterTable(t.Context(), table, change)
		require.Error(t, err, what)
	}
	require.Equal(t, table, w.table("public", "t"), "nothing was changed")
}

// TestColumnsOfOtherJournals: a column of a table that doesn't write its lines is what they say.
func TestColumnsOfOtherJournals(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	w.brokers.add(t, "acme/rides/one")
	table, err := c.CreateTable(t.Context(), TableSpec{Schema: "public", Name: "rides", Columns: []Column{textColumn("a"), textColumn("b")}, OnJournals: "acme/rides/"})
	require.NoError(t, err)
	change := func(alter func(*Alteration) error) error {
		altered, err := c.AlterTable(t.Context(), table, alter)
		if err == nil {
			table = altered.Table
		}
		return err
	}
	require.NoError(t, change(func(a *Alteration) error { return a.DropColumn(2) }))
	require.NoError(t, change(func(a *Alteration) error { return a.AddColumn(textColumn("b")) }))
	require.Equal(t, "b", table.Columns[1].lineKey())
	require.Equal(t, int64(3), table.Columns[1].ID)
	require.NoError(t, change(func(a *Alteration) error { return a.RenameColumn(1, "c") }))
	require.ErrorIs(t, change(func(a *Alteration) error { return a.AddColumn(textColumn("a")) }), ErrUnsupported)
	require.ErrorIs(t, change(func(a *Alteration) error {
		return a.SetOptions(Options{Codec: protocol.CompressionCodec_GZIP}, []string{"codec"}, nil)
	}), ErrUnsupported)
}

func TestOptionsReachJournals(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	spec := testSpec("clicks")
	spec.Options = Options{Journals: applyBatch + 3, PartitionBy: "id"}
	table, err := c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	set := func(values map[string]string, reset ...string) func(*Alteration) error {
		return func(a *Alteration) error {
			o, err := ParseOptions(values)
			var names []string
			for name := range values {
				names = append(names, name)
			}
			return errors.Join(err, a.SetOptions(o, names, reset))
		}
	}
	table = w.alter(c, table, set(map[string]string{"codec": "gzip", "flush_interval": "1 hour", "fragment_length": "1MB"}))
	require.Equal(t, time.Hour, table.Options.FlushInterval)
	require.Equal(t, protocol.CompressionCodec_GZIP, table.Options.Codec)
	table = w.alter(c, table, set(map[string]string{"refresh_interval": "5s"}, "codec"))
	require.Equal(t, protocol.CompressionCodec_ZSTANDARD, table.Options.Codec)
	require.Equal(t, int64(1<<20), table.Options.FragmentLength, "what wasn't said stays")
	table = w.alter(c, table, func(a *Alteration) error { return a.RenameColumn(1, "key") })
	require.Equal(t, "key", table.Options.PartitionBy)
	table = w.alter(c, table, func(a *Alteration) error { a.Table.Name = "rides"; return nil })
	require.Equal(t, table.ID, w.table("public", "rides").ID)
	require.Zero(t, w.table("public", "clicks").ID)

	for _, x := range []struct {
		set   map[string]string
		reset string
		code  Code
	}{
		{set: map[string]string{"journals": "3"}, code: ErrUnsupported},
		{set: map[string]string{"partition_by": "price"}, code: ErrUnsupported},
		{set: map[string]string{"replication": "3"}, code: ErrUnsupported},
		{set: map[string]string{"retention": "1 day"}, code: ErrUnsupported},
		{set: map[string]string{"fragment_length": "1"}, code: ErrInvalid},
		{reset: "journals", code: ErrUnsupported},
		{reset: "nothing", code: ErrInvalid},
	} {
		var reset []string
		if x.reset != "" {
			reset = []string{x.reset}
		}
		_, err := c.AlterTable(t.Context(), table, set(x.set, reset...))
		require.ErrorIs(t, err, x.code, "%v", x)
	}
	_, err = c.AlterTable(t.Context(), table, func(a *Alteration) error {
		return a.SetOptions(Options{Stores: []string{"file:///other/"}}, []string{"stores"}, nil)
	})
	require.ErrorIs(t, err, ErrUnsupported, "rows are in the other store")
	table = w.alter(c, table, func(a *Alteration) error {
		return a.SetOptions(Options{Stores: []string{"file:///other/", "file:///"}}, []string{"stores"}, nil)
	})
	_, err = c.AlterTable(t.Context(), table, func(a *Alteration) error { return a.DropColumn(1) })
	require.ErrorIs(t, err, ErrInvalid, "the table is partitioned by it")
	w.clean(c)
}

// TestViewsKeepTheirNames holds that a view finds its columns whatever they are called by now.
func TestViewsKeepTheirNames(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	spec := smallTable("t")
	spec.Columns = append(spec.Columns, textColumn("b"))
	table, err := c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	_, err = c.CreateView(t.Context(), publicSchema(t, c), viewOf("v", tableRead(table), tableRead(table)), nil)
	require.NoError(t, err)
	table = w.alter(c, table, func(a *Alteration) error {
		require.Len(t, a.Views, 1)
		return errors.Join(a.RenameColumn(1, "x"), a.AddColumn(textColumn("A")))
	})
	table = w.alter(c, table, func(a *Alteration) error { return errors.Join(a.RenameColumn(1, "y"), a.RenameColumn(2, "x")) })
	s := w.snapshot(c)
	v, ok := s.View("public", "v")
	require.True(t, ok)
	for _, r := range v.View.Reads {
		seen, ok := s.TableRead(r)
		require.True(t, ok)
		var names []string
		for _, x := range seen.Columns {
			names = append(names, x.Name+" "+x.Key)
		}
		require.Equal(t, []string{"a a", "b b", "A.3 A.3"}, names)
		require.NoError(t, seen.RowSchema().Validate())
	}
	plain, ok := s.TableRead(tableRead(table))
	require.True(t, ok)
	require.Equal(t, table, plain)
	again, err := c.CommentObject(t.Context(), v, "said")
	require.NoError(t, err)
	require.Equal(t, v.View.Reads, again.View.Reads)
}

// TestAlterationSeesWhatComesBetween makes a view after a change has looked, and before it is made.
func TestAlterationSeesWhatComesBetween(t *testing.T) {
	w := newWorld(t)
	c, other := w.run(), w.run()
	table, err := c.CreateTable(t.Context(), smallTable("t"))
	require.NoError(t, err)
	calls := 0
	_, err = c.AlterTable(t.Context(), table, func(a *Alteration) error {
		if calls++; calls == 1 {
			require.Empty(t, a.Views)
			_, err := other.CreateView(t.Context(), publicSchema(t, other), viewOf("v", tableRead(table)), nil)
			require.NoError(t, err)
			_, err = other.CreateView(t.Context(), publicSchema(t, other), viewOf("u", readOf(mustView(t, w, other, "v"))), nil)
			return err
		}
		require.Len(t, a.Views, 1)
		dependents := a.ViewsOf(a.Views)
		require.Len(t, dependents, 1)
		require.Equal(t, "u", dependents[0].View.Name)
		a.DropViews = []Object{a.Views[0], dependents[0].View}
		return a.AddColumn(textColumn("b"))
	})
	require.NoError(t, err)
	require.Equal(t, 2, calls)
	require.Empty(t, w.snapshot(c).Objects())
}

func mustView(t *testing.T, w *world, c *Catalog, name string) Object {
	t.Helper()
	v, ok := w.snapshot(c).View("public", name)
	require.True(t, ok)
	return v
}

// TestAlterationsAtTheSameTime lets processes change one table: nothing is lost of what either says, and journals end as the entry.
func TestAlterationsAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	spec := testSpec("clicks")
	spec.Options.Journals = 3
	table, err := c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	var group sync.WaitGroup
	const each = 5
	for i := range 4 {
		own := w.open()
		group.Go(func() {
			for n := range each {
				_, err := own.AlterTable(t.Context(), table, func(a *Alteration) error {
					a.Table.Options.FragmentLength++ // a counter
					a.Table.Options.FlushInterval = time.Duration(1+i*each+n) * time.Minute
					return a.AddColumn(textColumn(fmt.Sprintf("c%d_%d", i, n)))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	table = w.table("public", "clicks")
	require.Len(t, table.Columns, 2+4*each)
	require.Equal(t, int64(defaultFragmentLength+4*each), table.Options.FragmentLength)
	w.clean(c)
	w.inStep(table)
}

// TestAlterationFaultAtEachRequest breaks each request of a change in each way. Afterwards a fresh process has to come to a state in
// which the table is all old or all new, as the change said, and its journals are what it is.
func TestAlterationFaultAtEachRequest(t *testing.T) {
	w := newWorld(t)
	spec := testSpec("clicks")
	spec.Options.Journals = applyBatch + 3 // in two requests
	change := func(ctx context.Context, c *Catalog, table Table) error {
		_, err := c.AlterTable(ctx, table, func(a *Alteration) error {
			a.Table.Options.Codec, a.Table.Name = protocol.CompressionCodec_GZIP, "rides"
			return errors.Join(a.RenameColumn(1, "key"), a.AddColumn(textColumn("more")))
		})
		return err
	}
	count := &saboteur{}
	own := w.fork(t, "/count")
	victim := own.sabotaged(count)
	table, err := victim.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	count.arm(true)
	require.NoError(t, change(t.Context(), victim, table))
	require.GreaterOrEqual(t, count.n, 6)
	var all []*sabotaged
	for at := 1; at <= count.n; at++ {
		for _, kind := range []fault{failBefore, failAfter, refuse, cancelBefore, cancelAfter, dieBefore, dieAfter} {
			x := &sabotaged{w: w.fork(t, fmt.Sprintf("/alter-%d-%s", at, escapeName(string(kind)))), s: &saboteur{kind: kind, at: at}}
			ctx, cancel := context.WithCancel(t.Context())
			x.s.cancel = cancel
			victim := x.w.sabotaged(x.s)
			table, err := victim.CreateTable(t.Context(), spec)
			require.NoError(t, err)
			x.s.arm(true)
			x.err = change(ctx, victim, table)
			x.s.arm(false)
			cancel()
			all = append(all, x)
		}
	}
	for _, x := range all {
		t.Run(fmt.Sprintf("request %d %s", x.s.at, x.s.kind), func(t *testing.T) {
			own := *x.w
			own.t = t
			fresh := own.run()
			s := own.clean(fresh)
			require.Len(t, s.Tables(), 1)
			now := s.Tables()[0]
			isNew := now.Name == "rides"
			require.Equal(t, isNew, len(now.Columns) == 3)
			require.Equal(t, isNew, now.Columns[0].Name == "key")
			require.Equal(t, isNew, now.Options.Codec == protocol.CompressionCodec_GZIP)
			own.inStep(now)
			switch {
			case x.err == nil:
				require.True(t, isNew, "it said that it was done")
			case errors.Is(x.err, ErrUnknownOutcome):
			default:
				require.False(t, isNew, "it said that it wasn't done: %v", x.err)
			}
			require.NoError(t, fresh.DropTable(t.Context(), now))
			own.clean(fresh)
		})
	}
}

// TestJournalsNeverFollowAnOlderEntry lets a process pause between what it read and what it applies, while another changes the table there
// and back again.
func TestJournalsNeverFollowAnOlderEntry(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	table, err := c.CreateTable(t.Context(), testSpec("clicks"))
	require.NoError(t, err)
	codec := func(x protocol.CompressionCodec) func(*Alteration) error {
		return func(a *Alteration) error { a.Table.Options.Codec = x; return nil }
	}
	paused := false
	slow := w.open(func(config *Config) {
		config.Journals = &hookedJournals{Journals: w.brokers, before: func(call string, _ int) error {
			if call != "Apply" || paused {
				return nil
			}
			paused = true
			_, err := c.AlterTable(t.Context(), table, codec(protocol.CompressionCodec_ZSTANDARD)) // as the journals are
			return err
		}}
	})
	_, err = slow.AlterTable(t.Context(), table, codec(protocol.CompressionCodec_SNAPPY))
	require.NoError(t, err)
	require.True(t, paused)
	w.clean(c)
	w.inStep(w.table("public", "clicks"))
}
