package broker_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestScope: a journal out of scope isn't there, by whatever door one looks.
func TestScope(t *testing.T) {
	b := guarded(t, sharedSecret)
	labelled := brokertest.Spec("other/labelled")
	labelled.Labels = protocol.MustLabelSet("team", "red")
	b.Create(brokertest.Spec("a/journal"), brokertest.Spec("b/journal"), labelled)
	for _, c := range []struct {
		selector string
		seen     []string
	}{
		{"", []string{"a/journal", "b/journal", "other/labelled"}},
		{"name=a/journal", []string{"a/journal"}},
		{"name:prefix=a/", []string{"a/journal"}},
		{"prefix=b/", []string{"b/journal"}},
		{"team", []string{"other/labelled"}},
		{"!team", []string{"a/journal", "b/journal"}},
		{"name in (a/journal, b/journal), team=red", nil},
	} {
		t.Run(c.selector, func(t *testing.T) {
			bearer := token(t, auth.All, c.selector, time.Hour)
			client := protocol.NewJournalClient(b.Dial(bearer))
			listed, err := listAll(bounded(t), client, new(protocol.ListRequest))
			require.NoError(t, err)
			var names []string
			for _, j := range listed {
				names = append(names, j.GetSpec().GetName())
			}
			require.Equal(t, c.seen, names)
			for _, name := range []string{"a/journal", "b/journal", "other/labelled"} {
				seen := strings.Contains(strings.Join(c.seen, " "), name)
				checkSeen(t, b, client, bearer, name, seen)
				checkSeen(t, b, client, bearer, name+";meta", seen)
			}
		})
	}
}

// checkSeen tells whether a journal can be used, or looks like one that isn't there.
func checkSeen(t *testing.T, b *brokertest.Broker, client protocol.JournalClient, bearer, name string, seen bool) {
	t.Helper()
	ctx := bounded(t)
	read, err := readAll(ctx, client, &protocol.ReadRequest{Journal: name, Offset: -1})
	require.NoError(t, err)
	fragments, err := client.ListFragments(ctx, &protocol.FragmentsRequest{Journal: name})
	require.NoError(t, err)
	appended, err := appendWith(ctx, client, &protocol.AppendRequest{Journal: name}, "")
	require.NoError(t, err)
	get, _ := send(t, b, http.MethodGet, "/"+name+"?offset=-1", bearer, "")
	put, _ := send(t, b, http.MethodPut, "/"+name, bearer, "")
	_, text := send(t, b, http.MethodPost, "/v1/journals/read", bearer, `{"journal":"`+name+`","offset":-1}`)
	if seen {
		require.Equal(t, protocol.Status_OFFSET_NOT_YET_AVAILABLE, read[0].GetStatus())
		require.Equal(t, protocol.Status_OK, fragments.GetStatus())
		require.Equal(t, protocol.Status_OK, appended.GetStatus())
		require.Equal(t, []int{http.StatusRequestedRangeNotSatisfiable, http.StatusNoContent}, []int{get, put})
		require.Contains(t, text, `"status":"OFFSET_NOT_YET_AVAILABLE"`)
		return
	}
	require.Equal(t, protocol.Status_JOURNAL_NOT_FOUND, read[0].GetStatus())
	require.Equal(t, protocol.Status_JOURNAL_NOT_FOUND, fragments.GetStatus())
	require.Equal(t, protocol.Status_JOURNAL_NOT_FOUND, appended.GetStatus())
	for _, route := range []*protocol.Route{read[0].GetHeader().GetRoute(), fragments.GetHeader().GetRoute(), appended.GetHeader().GetRoute()} {
		require.Empty(t, route.GetMembers())
	}
	require.Equal(t, []int{http.StatusNotFound, http.StatusNotFound}, []int{get, put})
	require.Contains(t, text, `"status":"JOURNAL_NOT_FOUND"`)
}

// TestScopeOfWatch: a watch tells nothing of what is out of scope, not even that it is
// there.
func TestScopeOfWatch(t *testing.T) {
	b := guarded(t, sharedSecret)
	b.Create(brokertest.Spec("a/journal"))
	ctx := bounded(t)
	watch, err := protocol.NewJournalClient(b.Dial(token(t, auth.List, "prefix=a/", time.Hour))).List(ctx, &protocol.ListRequest{Watch: true})
	require.NoError(t, err)
	names := func() []string {
		var out []string
		for {
			r, err := watch.Recv()
			require.NoError(t, err)
			if len(r.GetJournals()) == 0 && r.GetHeader() == nil {
				return out
			}
			for _, j := range r.GetJournals() {
				out = append(out, j.GetSpec().GetName())
			}
		}
	}
	require.Equal(t, []string{"a/journal"}, names())
	b.Create(brokertest.Spec("b/journal"))
	b.Create(brokertest.Spec("a/later"))
	require.Equal(t, []string{"a/journal", "a/later"}, names())
}

// TestScopeOfApply: both the spec that is written and the one that is there have to be
// in scope.
func TestScopeOfApply(t *testing.T) {
	b := guarded(t, sharedSecret)
	spec := func(name string, labels ...string) *protocol.JournalSpec {
		s := brokertest.Spec(name)
		s.Labels = protocol.MustLabelSet(labels...)
		return s
	}
	b.Create(spec("a/red", "team", "red"), spec("a/blue", "team", "blue"), spec("b/red", "team", "red"))
	upsert := func(s *protocol.JournalSpec) *protocol.ApplyRequest_Change {
		return &protocol.ApplyRequest_Change{Upsert: s, ExpectModRevision: -1}
	}
	remove := func(name string) *protocol.ApplyRequest_Change {
		return &protocol.ApplyRequest_Change{Delete: name, ExpectModRevision: -1}
	}
	for _, c := range []struct {
		name, selector string
		change         *protocol.ApplyRequest_Change
		refused        bool
	}{
		{"a new name out of scope", "prefix=a/", upsert(spec("c/new")), true},
		{"a new label out of scope", "team=red", upsert(spec("c/new", "team", "blue")), true},
		{"another's journal made ours", "team=red", upsert(spec("a/blue", "team", "red")), true},
		{"ours made another's", "team=red", upsert(spec("a/red", "team", "blue")), true},
		{"another's deleted by name", "prefix=a/", remove("b/red"), true},
		{"another's deleted by label", "team=red", remove("a/blue"), true},
		{"what is excluded deleted", "prefix=a/, team!=blue", remove("a/blue"), true},
		{"what isn't there, by label", "team=red", remove("c/none"), true},
		{"a new one in scope", "prefix=a/, team=red", upsert(spec("a/new", "team", "red")), false},
		{"ours changed", "team=red", upsert(spec("a/red", "team", "red", "more", "x")), false},
		{"ours deleted by label", "team=red", remove("b/red"), false},
		{"ours deleted by name", "prefix=a/", remove("a/blue"), false},
		{"no scope", "", upsert(spec("d/any")), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := protocol.NewJournalClient(b.Dial(token(t, auth.Apply, c.selector, time.Hour)))
			r, err := client.Apply(bounded(t), &protocol.ApplyRequest{Changes: []*protocol.ApplyRequest_Change{c.change}})
			if !c.refused {
				require.NoError(t, err)
				require.Equal(t, protocol.Status_OK, r.GetStatus())
				return
			}
			require.Equal(t, codes.Unauthenticated, status.Code(err), "%v", err)
			require.Contains(t, err.Error(), "is out of its scope")
		})
	}
	// One change out of scope refuses all; and revisions are compared as without a scope.
	client := protocol.NewJournalClient(b.Dial(token(t, auth.Apply, "prefix=a/", time.Hour)))
	_, err := client.Apply(bounded(t), &protocol.ApplyRequest{Changes: []*protocol.ApplyRequest_Change{upsert(spec("a/one")), upsert(spec("z/two"))}})
	require.Equal(t, codes.Unauthenticated, status.Code(err), "%v", err)
	for _, revision := range []int64{0, 1 << 40} {
		change := upsert(spec("a/red", "team", "red"))
		change.ExpectModRevision = revision
		r, err := client.Apply(bounded(t), &protocol.ApplyRequest{Changes: []*protocol.ApplyRequest_Change{change}})
		require.NoError(t, err)
		require.Equal(t, protocol.Status_ETCD_TRANSACTION_FAILED, r.GetStatus())
	}
	left, err := listAll(bounded(t), b.Client(), new(protocol.ListRequest))
	require.NoError(t, err)
	var names []string
	for _, j := range left {
		names = append(names, j.GetSpec().GetName())
	}
	require.Equal(t, []string{"a/new", "a/red", "d/any"}, names)
}
