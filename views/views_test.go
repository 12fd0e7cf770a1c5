package views_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/views"
	"broadsheet.dev/broadsheet/views/keep"
)

// TestGroups: a view of groups is what its query is over the table, as that grows.
func TestGroups(t *testing.T) {
	w := newWorld(t, 2)
	w.append(0, line(1, 10, "a")+line(2, 20, "b")+line(1, 13, "left out"))
	h := w.host()
	plan := sums(t)
	w.keep(h, viewID, plan, 0)
	state := w.exact(h, viewID, plan, w.heads())
	require.Equal(t, w.heads()[w.journals[0]], state.Cut[w.journals[0]])
	_, rows := w.read(h, viewID, nil)
	require.Equal(t, []string{"1|1|10|a|a|10.5", "2|1|20|b|b|20.5"}, rows)
	w.append(1, line(1, 5, "z")+line(3, 7, "c")+"\n"+`{"k":"no row"}`+"\n"+`{"v":null}`+"\n")
	w.exact(h, viewID, plan, w.heads())
	_, rows = w.read(h, viewID, nil)
	require.Equal(t, []string{"1|2|15|a|z|16", "2|1|20|b|b|20.5", "3|1|7|c|c|7.5", "NULL|1|NULL|NULL|NULL|NULL"}, rows)
	for i := range 20 {
		w.append(i%2, strings.Repeat(line(i%3, i, "x"), i))
		w.exact(h, viewID, plan, w.heads())
	}
	stat, err := h.client.Stat(t.Context(), viewID)
	require.NoError(t, err)
	require.EqualValues(t, 5, stat.Rows)
	require.Equal(t, w.heads(), stat.Cut)
	require.Equal(t, "c2 numeric(38,0)", stat.Columns[2].Name+" "+stat.Columns[2].Type.SQL())
}

// filtered is the plan of a view of rows.
func filtered(tb testing.TB) views.Plan {
	tb.Helper()
	return views.Plan{Kind: views.Rows, Partial: parsed(tb, "select k + 1 as k, upper(s) as s from public.t where v > 10")}
}

// single is the plan of aggregates without GROUP BY.
func single(tb testing.TB) views.Plan {
	tb.Helper()
	return groupsPlan(tb, 0, "select count(*) as c0, sum(v) as c1 from public.t where v > 10", "select sum(c0)::int8 as c0, sum(c1) as c1 from groups")
}

// TestRows and a view of one row, whatever the bounds of memory are.
func TestRows(t *testing.T) {
	for name, adjust := range map[string]func(*views.Config){
		"as it is":                     nil,
		"one line at a time, no cache": func(c *views.Config) { c.Batch, c.Cache = 1, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			w.adjust = adjust
			h := w.host()
			plans := map[int64]views.Plan{16401: filtered(t), 16402: single(t), 16403: sums(t)}
			for id, plan := range plans {
				w.keep(h, id, plan, 0)
				_, rows := w.read(h, id, nil)
				require.Empty(t, rows)
			}
			for i := range 5 {
				for j := range 3 {
					w.append(j, line(i, i*7, "a")+line(j, 11*j, "b")+line(i, j, "c"))
				}
				for id, plan := range plans {
					w.exact(h, id, plan, w.heads())
				}
			}
		})
	}
}

// TestOpenLines: what is no line yet isn't waited for.
func TestOpenLines(t *testing.T) {
	w := newWorld(t, 2)
	h := w.host()
	plan := sums(t)
	w.keep(h, viewID, plan, 0)
	whole := line(1, 1, "a")
	w.append(0, whole+whole[:5])
	w.append(1, whole[:7])
	state := w.exact(h, viewID, plan, w.heads())
	require.EqualValues(t, len(whole), state.Cut[w.journals[0]])
	w.append(0, whole[5:]+whole[:9])
	state = w.exact(h, viewID, plan, w.heads())
	require.EqualValues(t, 2*len(whole), state.Cut[w.journals[0]])
	require.Zero(t, state.Cut[w.journals[1]])
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := h.client.Read(ctx, viewID, map[string]int64{w.journals[0]: w.heads()[w.journals[0]] + 100})
	require.Error(t, err, "nobody has written so far")
}

// TestLongLines: a line that is too long to be a row is none, whatever stands around it.
func TestLongLines(t *testing.T) {
	w := newWorld(t, 1)
	h := w.host()
	plan := sums(t)
	w.keep(h, viewID, plan, 0)
	long := `{"k":1,"v":1,"s":"` + strings.Repeat("x", columnar.MaxLine) + `"}` + "\n"
	fits := `{"k":2,"v":1,"s":"` + strings.Repeat("y", 200<<10) + `"}` + "\n"
	w.append(0, line(1, 1, "a")+long+fits+line(1, 2, "b"))
	w.exact(h, viewID, plan, w.heads())
	_, rows := w.read(h, viewID, nil)
	require.Len(t, rows, 2)
	require.Equal(t, "1|2|3|a|b|4", rows[0])
}

// TestMessages: of a table of messages, a view has what is committed, each transaction whole, and nothing twice.
func TestMessages(t *testing.T) {
	w := newWorld(t, 2)
	w.pointer = "/_meta/uuid"
	w.adjust = func(c *views.Config) { c.Batch = 300 } // less than a transaction has
	h := w.host()
	plan := sums(t)
	w.keep(h, viewID, plan, 0)
	spec := w.spec(viewID)
	spec.RingBufferSize = 3 // so that messages are read again
	h.Apply(spec)
	clock := message.Clock(1 << 20)
	of := func(p message.Producer, flags message.Flags, k, v int) string {
		clock += 16
		text := strings.TrimPrefix(line(k, v, "m"), "{")
		if flags == message.AckTxn {
			text = "}\n"
			return fmt.Sprintf(`{"_meta":{"uuid":%q}%s`, message.NewUUID(p, clock, flags), text)
		}
		return fmt.Sprintf(`{"_meta":{"uuid":%q},%s`, message.NewUUID(p, clock, flags), text)
	}
	a, b, c := message.Producer{1, 0, 0, 0, 0, 1}, message.Producer{1, 0, 0, 0, 0, 2}, message.Producer{1, 0, 0, 0, 0, 3}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failures := make(chan error, 1)
	go func() { // whatever is read in between has no transaction in half
		for ctx.Err() == nil {
			if err := wholeOnly(ctx, h); err != nil && ctx.Err() == nil {
				failures <- err
				return
			}
		}
		failures <- nil
	}()
	for i := range 6 {
		j := i % 2
		text := []string{line(7, 7, "plain")}
		var repeated string
		for range 10 {
			repeated = of(a, message.ContinueTxn, 100, 1)
			text = append(text, repeated, of(b, message.ContinueTxn, 200, 1))
		}
		text = append(text, repeated, // an append that was repeated
			of(c, message.ContinueTxn, 300, 1), of(c, 0, 400, 1)) // the first is rolled back
		w.append(j, strings.Join(text, ""))
		w.exact(h, viewID, plan, w.heads())
		ack := of(a, message.AckTxn, 0, 0)
		w.append(j, ack+ack+line(7, 8, "plain"))
		w.exact(h, viewID, plan, w.heads())
	}
	_, rows := w.read(h, viewID, nil)
	require.Equal(t, []string{"100|60|60|m|m|90", "400|6|6|m|m|9", "7|12|90|plain|plain|96"}, rows)
	cancel()
	require.NoError(t, <-failures)
}

// wholeOnly requires of what is read that transactions of ten rows are whole.
func wholeOnly(ctx context.Context, h *viewHost) error {
	r, err := h.client.Read(ctx, viewID, nil)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		b, err := r.Next()
		if err != nil {
			return nil // its end
		}
		for i := range b.Len {
			if b.Cols[0].I64[i] == 100 && b.Cols[1].I64[i]%10 != 0 {
				return fmt.Errorf("%d rows of transactions of 10", b.Cols[1].I64[i])
			}
		}
	}
}

// skip has the shard of a view do without rows of journals, each of which is <journal>=<offset>.
func (w *world) skip(h *viewHost, id int64, rows ...string) {
	w.t.Helper()
	spec := w.spec(id)
	for _, row := range rows {
		spec.GetLabels().AddValue(keep.LabelSkipped, row)
	}
	h.Apply(spec)
}

// TestBadRow: a row on which the query fails is named with the way to go on, and can be skipped, whatever it stands between.
func TestBadRow(t *testing.T) {
	w := newWorld(t, 2)
	h := w.host()
	plan := groupsPlan(t, 1, "select k as c0, sum(10 / v) as c1 from public.t group by k", "select c0, sum(c1) as c1 from groups group by c0")
	w.append(0, line(1, 1, "a"))
	w.keep(h, viewID, plan, 0)
	before := w.append(1, line(1, 2, "a")+line(1, 5, "a"))
	w.append(1, line(1, 0, "a")+line(2, 1, "a"))
	text := h.AwaitCode(keep.ShardID(viewID), shards.ReplicaStatus_FAILED).GetErrors()[0]
	require.Contains(t, text, fmt.Sprintf("message of public/t/1 at %d: ", before))
	require.Contains(t, text, "division by zero")
	require.True(t, strings.HasSuffix(text, fmt.Sprintf("ALTER MATERIALIZED VIEW public.v SKIP (journal = 'public/t/1', offset = %d)", before)), text)
	w.skip(h, viewID, fmt.Sprintf("public/t/1=%d", before))
	_, rows := w.read(h, viewID, w.heads())
	require.Equal(t, []string{"1|17", "2|10"}, rows)
	spec := w.spec(viewID)
	spec.GetLabels().AddValue(consumer.LabelSkip, fmt.Sprintf("public/t/1=%d", before))
	spec.GetLabels().AddValue(consumer.LabelDeadLetters, "dead/letters")
	h.Apply(spec)
	text = h.AwaitCode(keep.ShardID(viewID), shards.ReplicaStatus_FAILED).GetErrors()[0]
	require.Contains(t, text, "label broadsheet.dev/skip isn't for views")
}

// TestOverflow: where rows make together what no column holds, in one transaction or in several, the first one is named that is too much,
// and its group.
func TestOverflow(t *testing.T) {
	for name, much := range map[string]string{ // of which two are too much
		"for the engine":   "90000000000000000000000000000000000000",
		"for what is kept": "60000000000000000000000000000000000000",
	} {
		t.Run("at once, "+name, func(t *testing.T) { overflows(t, much, false) })
		t.Run("bit by bit, "+name, func(t *testing.T) { overflows(t, much, true) })
	}
}

func overflows(t *testing.T, much string, apart bool) {
	t.Helper()
	plan := groupsPlan(t, 1, "select s as c0, sum(case when v < 0 then -"+much+"::numeric(38,0) else "+much+"::numeric(38,0) end) as c1 from public.t group by s",
		"select c0, sum(c1) as c1 from groups group by c0")
	w := newWorld(t, 1)
	h := w.host()
	if apart {
		w.keep(h, viewID, plan, 0)
	}
	at := w.append(0, line(1, 1, "it's")+line(1, 1, "b"))
	if apart {
		w.read(h, viewID, w.heads())
	}
	w.append(0, line(1, 1, "it's")+line(1, -1, "b"))
	if !apart {
		w.keep(h, viewID, plan, 0)
	}
	text := h.AwaitCode(keep.ShardID(viewID), shards.ReplicaStatus_FAILED).GetErrors()[0]
	require.Contains(t, text, fmt.Sprintf("message of public/t/0 at %d: group (it's): ", at))
	require.True(t, strings.HasSuffix(text, fmt.Sprintf("SKIP (journal = 'public/t/0', offset = %d)", at)), text)
	w.append(0, line(2, -1, "it's")+line(2, 1, "c"))
	w.skip(h, viewID, fmt.Sprintf("public/t/0=%d", at))
	_, rows := w.read(h, viewID, w.heads())
	require.Equal(t, []string{"b|0", "c|" + much, "it's|0"}, rows)
}

// TestMuchOfLittle: a view that makes much of its lines is kept in smaller transactions; a line of which one can't be made is named.
func TestMuchOfLittle(t *testing.T) {
	w := newWorld(t, 1)
	w.adjust = func(c *views.Config) { c.Transaction = 120_000 }
	h := w.host()
	plan := views.Plan{Kind: views.Rows, Partial: parsed(t, "select k as k, case when v > 5000 then repeat(s, 16000) else repeat(s, 1000) end as s from public.t")}
	var text strings.Builder
	for i := range 100 { // 1 MB
		text.WriteString(line(i, 1000, "0123456789"))
	}
	at := w.append(0, text.String())
	w.keep(h, viewID, plan, 0)
	_, rows := w.read(h, viewID, w.heads())
	require.Len(t, rows, 100)
	w.append(0, line(200, 9000, "0123456789")+line(201, 1, "x"))
	awaited := ""
	for !strings.Contains(awaited, "message of") { // first with others
		awaited = h.AwaitCode(keep.ShardID(viewID), shards.ReplicaStatus_FAILED).GetErrors()[0]
	}
	require.Contains(t, awaited, fmt.Sprintf("message of public/t/0 at %d: ", at))
	w.skip(h, viewID, fmt.Sprintf("public/t/0=%d", at))
	_, rows = w.read(h, viewID, w.heads())
	require.Len(t, rows, 101)
}

// TestDefinitions: a view follows what its table becomes, and refuses to go on as another one.
func TestDefinitions(t *testing.T) {
	w := newWorld(t, 1)
	h := w.host()
	plan := single(t)
	w.keep(h, viewID, plan, 0)
	w.append(0, line(1, 20, "a"))
	w.exact(h, viewID, plan, w.heads())
	w.definitions.put(viewID, plan, func(d *views.Definition) { // lines call v another name now
		d.Lines.Columns[1].Key = "w"
	})
	w.append(0, `{"w":30}`+"\n"+line(1, 50, "a"))
	_, rows := w.read(h, viewID, w.heads())
	require.Equal(t, []string{"2|50"}, rows)
	w.definitions.put(viewID, sums(t), nil)
	w.append(0, line(1, 20, "a"))
	text := h.AwaitCode(keep.ShardID(viewID), shards.ReplicaStatus_FAILED).GetErrors()[0]
	require.Contains(t, text, "the state isn't that of the view's query")
	w.definitions.put(viewID, plan, nil)
	_, rows = w.read(h, viewID, w.heads())
	require.Equal(t, []string{"3|70"}, rows)
}

// TestNewVersionOfMessages: a view of a table of messages goes on as its definition gets another name, and begins anew if UUIDs are elsewhere.
func TestNewVersionOfMessages(t *testing.T) {
	w := newWorld(t, 1)
	w.pointer = "/_meta/uuid"
	h := w.host()
	plan := single(t)
	w.keep(h, viewID, plan, 0)
	w.append(0, line(1, 20, "a"))
	w.exact(h, viewID, plan, w.heads())
	w.definitions.put(viewID, plan, func(d *views.Definition) { d.Name, d.Lines.Messages = "public.renamed", w.pointer })
	w.append(0, line(1, 30, "a"))
	_, rows := w.read(h, viewID, w.heads())
	require.Equal(t, []string{"2|50"}, rows)
	failures := func() []float64 {
		var out []float64
		families, err := h.Metrics.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "broadsheet_shard_failures_total" {
				out = append(out, f.GetMetric()[0].GetCounter().GetValue())
			}
		}
		return out
	}
	require.Empty(t, failures())
	w.definitions.put(viewID, plan, func(d *views.Definition) { d.Lines.Messages = "/u" })
	w.append(0, line(1, 11, "a"))
	_, rows = w.read(h, viewID, w.heads())
	require.Equal(t, []string{"3|61"}, rows)
	require.Equal(t, []float64{1}, failures())
}

// TestNobodyHasIt: who reads a view that fails is told why.
func TestNobodyHasIt(t *testing.T) {
	w := newWorld(t, 1)
	h := w.host()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := h.client.Read(ctx, viewID, nil)
	require.Error(t, err)
	_, err = h.client.Stat(t.Context(), viewID)
	var remote *views.RemoteError
	require.ErrorAs(t, err, &remote)
	require.Equal(t, codes.Unavailable, remote.Code)
	require.Contains(t, err.Error(), "SHARD_NOT_FOUND")
	w.keep(h, viewID, views.Plan{Kind: views.Rows}, 0)
	h.AwaitCode(keep.ShardID(viewID), shards.ReplicaStatus_FAILED)
	_, err = h.client.Stat(t.Context(), viewID)
	require.ErrorContains(t, err, "a view without its first query")
	gone, err := h.Host.Client().Apply(t.Context(), &shards.ApplyRequest{Changes: []*shards.ApplyRequest_Change{
		{Delete: keep.ShardID(viewID), ExpectModRevision: h.List(t.Context(), keep.ShardID(viewID)).GetModRevision()},
	}})
	require.NoError(t, err)
	require.Equal(t, shards.Status_OK, gone.GetStatus())
	_, err = h.client.Stat(t.Context(), viewID)
	require.ErrorAs(t, err, &remote)
	require.Equal(t, codes.Unavailable, remote.Code, "how it went before doesn't matter")
	require.Contains(t, err.Error(), "SHARD_NOT_FOUND")
	w.definitions.put(viewID, filtered(t), func(d *views.Definition) { d.Table.Columns = d.Table.Columns[1:] })
}
