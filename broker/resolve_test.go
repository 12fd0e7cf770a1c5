package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
)

// TestResolveScenarios plays testdata/resolve: what a broker called "self" makes of the route of a journal that is
// assigned to it, and of the header of a request that somebody forwarded.
//
//	route members=A,B,... [primary=A] [replication=N] [max=N]
//	   prints the status for reads and for appends, and how many brokers are desired
//	header [to=NAME] [cluster=N] [none]
func TestResolveScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/resolve", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			words := []string{d.Cmd}
			for _, a := range d.CmdArgs {
				words = append(words, strings.TrimSpace(a.Key+"="+strings.Join(a.Vals, ",")))
			}
			a := scenarioArgs{t, d.Pos, strings.Join(words, " ")}
			b := &Broker{cfg: Config{ID: resolveID("self")}}
			r := &roster{state: &protocol.Header_Etcd{ClusterId: 7, Revision: 5}}
			b.roster.Store(r)
			if d.Cmd == "header" {
				h := &protocol.Header{Route: protocol.EmptyRoute(), Etcd: &protocol.Header_Etcd{ClusterId: uint64(a.numberOr("cluster", 7))}} //nolint:gosec // it is small
				if to, ok := a.find("to"); ok {
					h.ProcessId = resolveID(to)
				}
				if _, ok := a.find("none"); ok {
					h = nil
				}
				return fmt.Sprintf("%v\n", b.checkHeader(h))
			}
			e := &entry{replica: new(replica), route: protocol.EmptyRoute()}
			e.spec = &protocol.JournalSpec{Name: "a/journal", Replication: int32(a.numberOr("replication", 1))} //nolint:gosec // it is small
			e.most = int(a.numberOr("max", 9))
			members, _ := a.find("members")
			primary, _ := a.find("primary")
			for i, name := range strings.Split(members, ",") {
				e.route.Members = append(e.route.Members, resolveID(name))
				if name == primary {
					e.route.Primary = int32(i) //nolint:gosec // there are few
				}
			}
			read, app := b.resolved(r, e, false), b.resolved(r, e, true)
			require.Equal(t, read.status == protocol.Status_OK, read.replica != nil)
			require.Equal(t, app.status == protocol.Status_OK, app.replica != nil)
			require.EqualValues(t, 5, app.header.GetEtcd().GetRevision())
			return fmt.Sprintf("read %s, append %s, desired %d\n", read.status, app.status, app.desired)
		})
	})
}

func resolveID(name string) *protocol.ProcessSpec_ID {
	return &protocol.ProcessSpec_ID{Zone: "zone", Suffix: name}
}
