package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/client/direct"
	"broadsheet.dev/broadsheet/protocol"
)

// routeOf members named by their zone and suffix, with endpoints of the same names.
func routeOf(primary int32, members ...string) *protocol.Route {
	out := &protocol.Route{Primary: primary}
	for _, m := range members {
		zone, suffix, _ := strings.Cut(m, "/")
		out.Members = append(out.Members, &protocol.ProcessSpec_ID{Zone: zone, Suffix: suffix})
		out.Endpoints = append(out.Endpoints, "http://"+suffix+":80")
	}
	return out
}

func TestRoutesExpireAndAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoutes(RouteCache{Size: 10})
		route := routeOf(0, "zone/broker")
		require.Nil(t, r.get("a/journal"))
		r.learn("a/journal;meta", route)
		require.Same(t, route, r.get("a/journal"), "a suffix makes no other journal")
		time.Sleep(defaultRouteTTL - 1)
		require.Same(t, route, r.get("a/journal;other"), "and being used doesn't prolong it")
		time.Sleep(time.Nanosecond)
		require.Nil(t, r.get("a/journal"))
		require.Zero(t, r.order.Len())

		r.learn("a/journal", route)
		r.learn("a/journal", protocol.EmptyRoute())
		require.Nil(t, r.get("a/journal"), "a journal that waits for members")
		r.learn("a/journal", route)
		r.learn("a/journal", &protocol.Route{Members: route.GetMembers()})
		require.Nil(t, r.get("a/journal"), "endpoints aren't known")
		r.learn("a/journal", route)
		r.forget("a/journal")
		require.Nil(t, r.get("a/journal"))
	})
	var none *routes
	none.learn("a/journal", routeOf(0, "zone/broker"))
	none.forget("a/journal")
	require.Nil(t, none.get("a/journal"))
}

// TestRoutesKeepWhatIsUsed compares with a list in the order of use.
func TestRoutesKeepWhatIsUsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 4).Draw(t, "size")
		r := newRoutes(RouteCache{Size: size, TTL: time.Hour})
		var used []string // last first
		use := func(j string) {
			used = append([]string{j}, without(used, j)...)
		}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			j := fmt.Sprintf("a/%d", rapid.IntRange(0, 6).Draw(t, "journal"))
			known := len(without(used, j)) != len(used)
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				r.learn(j, routeOf(0, "zone/broker"))
				use(j)
				used = used[:min(len(used), size)]
			case 2:
				require.Equal(t, known, r.get(j) != nil)
				if known {
					use(j)
				}
			case 3:
				r.forget(j)
				used = without(used, j)
			}
			require.Equal(t, len(used), r.order.Len())
			require.Len(t, r.byJournal, len(used))
		}
	})
}

func without(list []string, x string) []string {
	var out []string
	for _, y := range list {
		if y != x {
			out = append(out, y)
		}
	}
	return out
}

func TestChoice(t *testing.T) {
	route := routeOf(1, "east/one", "east/two", "west/three", "west/four")
	all := func(string) bool { return true }
	not := func(names ...string) func(string) bool {
		return func(e string) bool {
			for _, n := range names {
				if strings.Contains(e, n) {
					return false
				}
			}
			return true
		}
	}
	for name, c := range map[string]struct {
		route  *protocol.Route
		as     role
		zone   string
		usable func(string) bool
		want   []string
	}{
		"primary":              {route, rolePrimary, "west", all, []string{"two"}},
		"primary isnt usable":  {route, rolePrimary, "", not("two"), []string{""}},
		"no primary":           {routeOf(-1, "east/one"), rolePrimary, "", all, []string{""}},
		"no route":             {nil, roleMember, "", all, []string{""}},
		"any":                  {route, roleAny, "", all, []string{""}},
		"members":              {route, roleMember, "", all, []string{"one", "two", "three", "four"}},
		"members of the zone":  {route, roleMember, "west", all, []string{"three", "four"}},
		"usable of the zone":   {route, roleMember, "west", not("three"), []string{"four"}},
		"none in the zone":     {route, roleMember, "north", all, []string{"one", "two", "three", "four"}},
		"none usable in zone":  {route, roleMember, "west", not("three", "four"), []string{"one", "two"}},
		"none usable":          {route, roleMember, "west", not("http"), []string{""}},
		"without its endpoint": {&protocol.Route{Members: route.GetMembers(), Endpoints: []string{"", "", "", "http://four:80"}}, roleMember, "", all, []string{"four"}},
	} {
		seen := map[string]bool{}
		for range 200 {
			seen[strings.TrimSuffix(strings.TrimPrefix(choose(c.route, c.as, c.zone, c.usable), "http://"), ":80")] = true
		}
		want := map[string]bool{}
		for _, w := range c.want {
			want[w] = true
		}
		require.Equal(t, want, seen, name)
	}
}

func TestRouteCachesThatAreRefused(t *testing.T) {
	for want, cfg := range map[string]Config{
		"size -1":                 {Routes: RouteCache{Size: -1}},
		"TTL -1ns":                {Routes: RouteCache{TTL: -1}},
		"a zone is of no use":     {Routes: RouteCache{Zone: "east"}},
		"only with a route cache": {Fragments: new(direct.Config)},
		"fragments: stall":        {Routes: RouteCache{Size: 1}, Fragments: &direct.Config{Stall: -1}},
	} {
		cfg.Endpoint = "http://host:80"
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

// member is a broker of a cluster in memory.
type member struct {
	protocol.UnimplementedJournalServer
	cluster  *cluster
	name     string
	endpoint string
	appends  int
	reads    []*protocol.ReadRequest
	down     bool // its RPCs fail as if it couldn't be reached
}

// cluster has one journal; each member knows who has it.
type cluster struct {
	members []*member
	route   *protocol.Route
	content string
	// stored content is up to here, at a URL.
	stored int64
	url    string
}

// newCluster of brokers one, two and three. Two and three have the journal, of which
// three is the primary.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{route: &protocol.Route{Primary: 1}}
	for _, name := range []string{"one-one", "two-two", "zzz-three"} {
		m := &member{cluster: c, name: name}
		m.endpoint = serveGRPC(t, func(r grpc.ServiceRegistrar) { protocol.RegisterJournalServer(r, m) })
		c.members = append(c.members, m)
	}
	for _, m := range c.members[1:] {
		c.route.Members = append(c.route.Members, &protocol.ProcessSpec_ID{Zone: m.name[:3], Suffix: m.name})
		c.route.Endpoints = append(c.route.Endpoints, m.endpoint)
	}
	return c
}

func (m *member) header() *protocol.Header {
	h := readHeader()
	h.Route = m.cluster.route
	return h
}

func (m *member) has() bool {
	return slices.Contains(m.cluster.route.GetEndpoints(), m.endpoint)
}

func (m *member) Append(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
	m.appends++
	if m.down {
		return status.Error(codes.Unavailable, "down")
	}
	begin := int64(len(m.cluster.content))
	for {
		r, err := stream.Recv()
		if err != nil {
			break
		}
		m.cluster.content += string(r.GetContent())
	}
	return stream.SendAndClose(&protocol.AppendResponse{
		Header: m.header(), Registers: new(protocol.LabelSet),
		Commit: &protocol.Fragment{Journal: "a/journal", Begin: begin, End: int64(len(m.cluster.content)), CompressionCodec: protocol.CompressionCodec_NONE},
	})
}

func (m *member) ListFragments(context.Context, *protocol.FragmentsRequest) (*protocol.FragmentsResponse, error) {
	if m.down {
		return nil, status.Error(codes.Unavailable, "down")
	}
	return &protocol.FragmentsResponse{Header: m.header()}, nil
}

func (m *member) Read(req *protocol.ReadRequest, stream grpc.ServerStreamingServer[protocol.ReadResponse]) error {
	m.reads = append(m.reads, req)
	c := m.cluster
	if m.down {
		return status.Error(codes.Unavailable, "down")
	}
	if !m.has() && req.GetDoNotProxy() {
		return stream.Send(&protocol.ReadResponse{Status: protocol.Status_NOT_JOURNAL_BROKER, Header: m.header()})
	}
	at, head, header := req.GetOffset(), int64(len(c.content)), m.header()
	for at < head {
		f := &protocol.Fragment{Journal: "a/journal", Begin: c.stored, End: head, CompressionCodec: protocol.CompressionCodec_NONE}
		url := ""
		if at < c.stored {
			f.Begin, f.End, url = 0, c.stored, c.url
			f.BackingStore, f.ModTime, f.Sum = "s3://bucket/", 1, protocol.SumOf([]byte(c.content[:c.stored]))
		}
		if err := stream.Send(&protocol.ReadResponse{Header: header, Offset: at, WriteHead: head, Fragment: f, FragmentUrl: url}); err != nil {
			return err
		}
		if url != "" && req.GetDoNotProxy() {
			return nil
		}
		end := f.GetEnd()
		if req.GetEndOffset() != 0 {
			end = min(end, req.GetEndOffset())
		}
		if err := stream.Send(&protocol.ReadResponse{Offset: at, Content: []byte(c.content[at:end])}); err != nil {
			return err
		}
		at, header = end, nil
		if at == req.GetEndOffset() {
			return nil
		}
	}
	return stream.Send(&protocol.ReadResponse{Status: protocol.Status_OFFSET_NOT_YET_AVAILABLE, Header: header, Offset: at, WriteHead: head})
}

func (c *cluster) dial(t *testing.T, cfg Config) *Client {
	t.Helper()
	cfg.Endpoint = c.members[0].endpoint
	out, err := Dial(t.Context(), cfg)
	require.NoError(t, err)
	out.pause = func(ctx context.Context, _ int) error { return ctx.Err() }
	t.Cleanup(func() { require.NoError(t, out.Close()) })
	return out
}

func readAll(t *testing.T, c *Client, req *protocol.ReadRequest) (string, error) {
	t.Helper()
	req.Journal = "a/journal"
	r := c.NewReader(t.Context(), req)
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestAppendsGoToThePrimary(t *testing.T) {
	c := newCluster(t)
	brokers := c.dial(t, Config{Routes: RouteCache{Size: 1}})
	for range 3 {
		_, err := brokers.Append(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("x"))
		require.NoError(t, err)
	}
	require.Equal(t, []int{1, 0, 2}, []int{c.members[0].appends, c.members[1].appends, c.members[2].appends})

	// It goes away: any broker knows the next.
	c.members[2].down = true
	c.route.Primary = 0
	_, err := brokers.AppendAtLeastOnce(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("x"))
	require.NoError(t, err)
	_, err = brokers.Append(t.Context(), AppendParams{Journal: "a/journal"}, strings.NewReader("x"))
	require.NoError(t, err)
	require.Equal(t, []int{2, 1, 3}, []int{c.members[0].appends, c.members[1].appends, c.members[2].appends})
	require.Equal(t, "xxxxx", c.content)
}

func TestWithoutACacheBrokersProxy(t *testing.T) {
	c := newCluster(t)
	c.content = "content"
	brokers := c.dial(t, Config{})
	for range 2 {
		got, err := readAll(t, brokers, &protocol.ReadRequest{EndOffset: 7})
		require.NoError(t, err)
		require.Equal(t, "content", got)
		_, err = brokers.Append(t.Context(), AppendParams{Journal: "a/journal"}, nil)
		require.NoError(t, err)
	}
	require.Len(t, c.members[0].reads, 2)
	require.False(t, c.members[0].reads[0].GetDoNotProxy())
	require.Equal(t, 2, c.members[0].appends)
}

// TestStoreThatReturnsNothingIsAskedAgain, as it is with any reader.
func TestStoreThatReturnsNothingIsAskedAgain(t *testing.T) {
	r := &Reader{stored: storedRead{file: io.NopCloser(nothing{}), buf: make([]byte, 1)}}
	require.NoError(t, r.readStored())
	require.Empty(t, r.pending)
	require.NotNil(t, r.stored.file)
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// TestReadsGoToTheStoreAndToMembers: stored content comes from the store, the rest from a
// member of the zone, found through a broker that hasn't the journal.
func TestReadsGoToTheStoreAndToMembers(t *testing.T) {
	c := newCluster(t)
	c.content, c.stored = "stored and the head", 6
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "file"), []byte("stored"), 0o600))
	c.url = "file:///file"
	metrics := prometheus.NewRegistry()
	brokers := c.dial(t, Config{Routes: RouteCache{Size: 1, Zone: "zzz"}, Fragments: &direct.Config{FileRoot: root}, Metrics: metrics})
	for _, from := range []int64{0, 3, 6, 9} {
		for _, to := range []int64{0, 5, 6, 8} {
			if to != 0 && to <= from {
				continue
			}
			got, err := readAll(t, brokers, &protocol.ReadRequest{Offset: from, EndOffset: to})
			if to == 0 {
				require.ErrorIs(t, err, protocol.Status_OFFSET_NOT_YET_AVAILABLE.Err())
				to = int64(len(c.content))
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, c.content[from:to], got)
		}
	}
	require.Len(t, c.members[0].reads, 1, "it told who has the journal")
	require.Empty(t, c.members[1].reads, "it is in another zone")
	for _, r := range c.members[2].reads {
		require.True(t, r.GetDoNotProxy())
	}
	_, err := brokers.Fragments(t.Context(), "a/journal")
	require.NoError(t, err)

	counted := map[string]float64{}
	families, err := metrics.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			require.Equal(t, "a/journal", m.GetLabel()[len(m.GetLabel())-1].GetValue())
			counted[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	require.Equal(t, map[string]float64{
		"gazette_read_bytes_total":    19 + 5 + 6 + 8 + 16 + 2 + 3 + 5 + 13 + 2 + 10,
		"gazette_fragment_open_total": 8, "gazette_fragment_open_bytes_total": 48, "gazette_fragment_open_content_length_total": 48,
		"gazette_read_fragment_bytes_total": 6 + 5 + 6 + 6 + 3 + 2 + 3 + 3, "gazette_discard_fragment_bytes_total": 12,
	}, counted)

	// Another client of the process shares the metrics; what else has their names is refused.
	second, err := Dial(t.Context(), Config{Endpoint: "http://host:80", Metrics: metrics})
	require.NoError(t, err)
	require.NoError(t, second.Close())
	other := prometheus.NewRegistry()
	require.NoError(t, other.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: "gazette_read_bytes_total", Help: "x"})))
	_, err = Dial(t.Context(), Config{Endpoint: "http://host:80", Metrics: other})
	require.ErrorContains(t, err, "gazette_read_bytes_total")
}

// TestAStoreThatFailsIsReadThroughBrokers, at any place, without a byte twice or missing;
// but not if brokers mustn't, nor past content of which is known that it is wrong.
func TestAStoreThatFailsIsReadThroughBrokers(t *testing.T) {
	const stored = "stored content of the journal"
	sent := stored
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(stored)))
		_, _ = io.WriteString(w, sent)
	}))
	t.Cleanup(store.Close)
	c := newCluster(t)
	c.content, c.stored, c.url = stored+", and the head", int64(len(stored)), store.URL+"?signature=secret"
	brokers := c.dial(t, Config{Routes: RouteCache{Size: 1}, Fragments: new(direct.Config)})
	for _, n := range []int{0, 1, len(stored) - 1, len(stored)} {
		sent = stored[:n]
		got, err := readAll(t, brokers, &protocol.ReadRequest{})
		require.ErrorIs(t, err, protocol.Status_OFFSET_NOT_YET_AVAILABLE.Err())
		require.Equal(t, c.content, got)
	}
	sent = stored[:9]
	got, err := readAll(t, brokers, &protocol.ReadRequest{DoNotProxy: true})
	require.ErrorContains(t, err, "read a/journal: fragment [0, 29) of a/journal at offset 9: ")
	require.NotContains(t, err.Error(), "secret")
	require.Equal(t, stored[:9], got)

	sent = strings.ToUpper(stored)
	got, err = readAll(t, brokers, &protocol.ReadRequest{})
	var wrong *direct.SumError
	require.ErrorAs(t, err, &wrong)
	require.Less(t, len(got), len(stored))

	c.url = "s3://bucket/unsigned"
	got, err = readAll(t, brokers, &protocol.ReadRequest{EndOffset: 12})
	require.NoError(t, err)
	require.Equal(t, c.content[:12], got)
}

// TestAMemberThatIsGoneIsLeft: the reader goes by a broker that is there.
func TestAMemberThatIsGoneIsLeft(t *testing.T) {
	c := newCluster(t)
	c.content = "the head"
	brokers := c.dial(t, Config{Routes: RouteCache{Size: 1}, Fragments: new(direct.Config)})
	for _, m := range c.members[1:] {
		m.down = true
	}
	got, err := readAll(t, brokers, &protocol.ReadRequest{EndOffset: 8})
	require.NoError(t, err)
	require.Equal(t, c.content, got)
	last := c.members[0].reads[len(c.members[0].reads)-1]
	require.False(t, last.GetDoNotProxy(), "it is asked to read for us")
}

func TestClosingAReaderReleasesItsStore(t *testing.T) {
	const stored = "stored content"
	gone := make(chan struct{})
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, stored[:3])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	t.Cleanup(store.Close)
	c := newCluster(t)
	c.content, c.stored, c.url = stored, int64(len(stored)), store.URL
	brokers := c.dial(t, Config{Routes: RouteCache{Size: 1}, Fragments: new(direct.Config)})
	r := brokers.NewReader(t.Context(), &protocol.ReadRequest{Journal: "a/journal"})
	_, err := io.ReadFull(r, make([]byte, 3))
	require.NoError(t, err)
	require.NoError(t, r.Close())
	<-gone
	require.Nil(t, r.stored.file)
	_, err = r.Read(make([]byte, 1))
	require.EqualError(t, err, "read a/journal: reader is closed")
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	c := newCluster(t)
	brokers := c.dial(t, Config{Routes: RouteCache{Size: 1}})
	for range 2 {
		_, err := brokers.Append(t.Context(), AppendParams{Journal: "a/journal"}, nil)
		require.NoError(t, err)
	}
	require.Len(t, brokers.pool.conns, 2)
	a, err := brokers.NewAppender(t.Context(), AppendParams{Journal: "a/journal"})
	require.NoError(t, err)
	for range 3 {
		brokers.pool.sweepOnce()
	}
	require.Len(t, brokers.pool.conns, 2, "it is in use")
	_, err = a.Commit()
	require.NoError(t, err)
	brokers.pool.sweepOnce()
	require.Len(t, brokers.pool.conns, 2, "it was, until now")
	brokers.pool.sweepOnce()
	require.Len(t, brokers.pool.conns, 1, "home stays")
	_, err = brokers.Append(t.Context(), AppendParams{Journal: "a/journal"}, nil)
	require.NoError(t, err)

	a, err = brokers.NewAppender(t.Context(), AppendParams{Journal: "a/journal"})
	require.NoError(t, err)
	a.Abort()
	a.Abort()
	for range 3 {
		brokers.pool.sweepOnce()
	}
	require.Len(t, brokers.pool.conns, 1, "an append that was aborted uses none")
	_, err = a.Write([]byte("x"))
	require.ErrorIs(t, err, errEnded)
}

func TestEndpointsOfRoutesKeepToTLS(t *testing.T) {
	for home, want := range map[string][]bool{"https://host:80": {true, false, false, false}, "http://host:80": {true, true, true, false}} {
		c, err := Dial(t.Context(), Config{Endpoint: home})
		require.NoError(t, err)
		for i, e := range []string{"https://member:80", "http://member:80", "unix://host/run/sock", "ftp://member:80"} {
			require.Equal(t, want[i], c.pool.usable(e), e)
		}
		require.NoError(t, c.Close())
	}
}
