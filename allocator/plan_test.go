package allocator

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/keyspace"
)

// testItem and testMember are the values of tests.
type testItem struct {
	Replicas int
	Prefer   []MemberID
	Require  bool
	// Rule is how assignments become consistent: "" at once; "own" when their own value
	// is "ready"; "all" when all are.
	Rule string
}

func (i testItem) DesiredReplication() int { return i.Replicas }

// testPreference is the value of a key that tells who holds an item.
type testPreference struct {
	item    string
	members []MemberID
}

func (p testPreference) Preferred() (string, []MemberID) { return p.item, p.members }

func (i testItem) Affinity() ([]MemberID, bool) { return i.Prefer, i.Require }

func (i testItem) IsConsistent(a Assignment, all []Assignment) bool {
	switch i.Rule {
	case "own":
		return a.Value == "ready"
	case "all":
		return !slices.ContainsFunc(all, func(x Assignment) bool { return x.Value != "ready" })
	default:
		return true
	}
}

type testMember struct {
	Limit int
	Exits bool
}

func (m testMember) ItemLimit() int { return m.Limit }
func (m testMember) Exiting() bool  { return m.Exits }

// keys is a key space made by hand.
type keys struct {
	kvs      map[string]keyspace.KeyValue
	revision int64
	log      []string // what was changed at each revision after the first
}

func newKeys() *keys { return &keys{kvs: make(map[string]keyspace.KeyValue), revision: 1} }

func (k *keys) Revision() int64 { return k.revision }

func (k *keys) Get(key string) (keyspace.KeyValue, bool) {
	kv, ok := k.kvs[key]
	return kv, ok
}

func (k *keys) Ascend(prefix string, fn func(keyspace.KeyValue) bool) {
	for _, key := range slices.Sorted(maps.Keys(k.kvs)) {
		if strings.HasPrefix(key, prefix) && !fn(k.kvs[key]) {
			return
		}
	}
}

func (k *keys) ChangedSince(revision int64) (iter.Seq[string], bool) {
	return slices.Values(k.log[revision-1:]), true
}

func (k *keys) changed(key string) {
	k.revision++
	k.log = append(k.log, key)
}

// put writes a key; create is its create revision if it is new, 0 is the present one.
func (k *keys) put(key string, value any, create int64) {
	k.changed(key)
	kv, ok := k.kvs[key]
	switch {
	case create != 0:
		kv.CreateRevision = create
	case !ok:
		kv.CreateRevision = k.revision
	}
	kv.Key, kv.Value, kv.ModRevision = key, value, k.revision
	k.kvs[key] = kv
}

func (k *keys) delete(key string) {
	k.changed(key)
	delete(k.kvs, key)
}

func (k *keys) assign(t require.TestingT, id, value string, create int64) {
	a, err := ParseAssignmentKey("/p", "/p/assign/"+id)
	require.NoError(t, err)
	k.put("/p/assign/"+id, Assignment{ID: a, Value: value}, create)
}

// leave removes a member with all that it has, as the end of its lease does.
func (k *keys) leave(id MemberID) {
	for _, key := range slices.Sorted(maps.Keys(k.kvs)) {
		if a, ok := k.kvs[key].Value.(Assignment); ok && a.ID.Member == id {
			k.delete(key)
		}
	}
	k.delete("/p/members/" + id.String())
}

// sync makes the assignments of every item ready.
func (k *keys) sync() {
	for _, key := range slices.Sorted(maps.Keys(k.kvs)) {
		if a, ok := k.kvs[key].Value.(Assignment); ok && a.Value != "ready" {
			k.put(key, Assignment{ID: a.ID, Value: "ready"}, 0)
		}
	}
}

// apply makes the changes of some groups of a plan.
func (k *keys) apply(t require.TestingT, groups []group) {
	for _, g := range groups {
		for _, c := range g.changes {
			key := "/p/assign/" + c.id.String()
			_, there := k.kvs[key]
			require.Equal(t, !c.add, there, "%s", key)
			if c.add {
				k.assign(t, c.id.String(), "", 0)
			} else {
				k.delete(key)
			}
		}
	}
}

func (k *keys) assigned() []string {
	var out []string
	k.Ascend("/p/assign/", func(kv keyspace.KeyValue) bool {
		out = append(out, strings.TrimPrefix(kv.Key, "/p/assign/"))
		return true
	})
	return out
}

// parse takes lines of changes: "item <id> <replicas> [prefer=<members>] [require=<members>]
// [rule=<own|all>]", "member <zone#suffix> limit=<n> [exiting] [create=<n>]", "assign
// <item#zone#suffix#slot> [ready] [create=<n>]", "drop <items|members|assign>/<rest of the
// key>", "leave <zone#suffix>" and "told <item> prefer=[<members>]", a key of its own, which "untold
// <item>" drops.
func (k *keys) parse(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		create, limit, rule, value := int64(0), 0, "", ""
		exits := slices.Contains(f, "exiting")
		if slices.Contains(f, "ready") {
			value = "ready"
		}
		var prefer []MemberID
		check := func(err error) {
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		for _, opt := range f[2:] {
			name, arg, _ := strings.Cut(opt, "=")
			n, _ := strconv.ParseInt(arg, 10, 64)
			switch name {
			case "create":
				create = n
			case "limit":
				limit = int(n)
			case "rule":
				rule = arg
			case "prefer", "require":
				for m := range strings.FieldsFuncSeq(arg, func(r rune) bool { return r == ',' }) {
					id, err := ParseMemberKey("/p", "/p/members/"+m)
					check(err)
					prefer = append(prefer, id)
				}
			}
		}
		switch f[0] {
		case "item":
			n, err := strconv.Atoi(f[2])
			check(err)
			k.put("/p/items/"+f[1], Item{ID: f[1], Value: testItem{n, prefer, strings.Contains(line, "require="), rule}}, create)
		case "told":
			k.put("/p/told/"+f[1], testPreference{f[1], prefer}, create)
		case "untold":
			k.delete("/p/told/" + f[1])
		case "member", "leave":
			id, err := ParseMemberKey("/p", "/p/members/"+f[1])
			check(err)
			if f[0] == "leave" {
				k.leave(id)
			} else {
				k.put("/p/members/"+f[1], Member{ID: id, Value: testMember{limit, exits}}, create)
			}
		case "assign":
			k.assign(t, f[1], value, create)
		case "drop":
			k.delete("/p/" + f[1])
		default:
			t.Fatalf("unknown change: %s", line)
		}
	}
}

// TestPlan shows keys before, the rounds of changes, and keys at the fixed point. converge
// begins with its input, then goes on with changes. With sync all assignments become ready
// after each round; with rounds=N there are at most that many.
func TestPlan(t *testing.T) {
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		t.Helper()
		var k *keys
		var s *state
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			switch d.Cmd {
			case "converge":
				k = newKeys()
				k.parse(t, d.Input)
				s = readState("/p", k)
			case "then":
				k.parse(t, d.Input)
				s = s.follow(k)
			default:
				t.Fatalf("unknown command: %s", d.Cmd)
			}
			rounds := 20
			d.MaybeScanArgs(t, "rounds", &rounds)
			return converge(t, s, k, rounds, d.HasArg("sync"))
		})
	})
}

func converge(t *testing.T, s *state, k *keys, rounds int, sync bool) string {
	t.Helper()
	var out strings.Builder
	for round := 1; s.leader != nil && round <= rounds; round++ {
		require.Less(t, round, 20, "no fixed point")
		p := s.makePlan()
		k.apply(t, p.groups)
		if len(p.groups) > 0 {
			fmt.Fprintf(&out, "round %d\n", round)
		}
		for _, g := range p.groups {
			var changes []string
			for _, c := range g.changes {
				changes = append(changes, map[bool]string{true: "+", false: "-"}[c.add]+strings.TrimPrefix(c.id.String(), g.item.id+"#"))
			}
			fmt.Fprintf(&out, "  %s: %s\n", g.item.id, strings.Join(changes, " "))
		}
		was := k.revision
		if sync {
			k.sync()
		}
		s.follow(k)
		if len(p.groups) > 0 || k.revision != was {
			continue
		}
		for _, u := range p.unplaced {
			fmt.Fprintf(&out, "unplaced %s: %s\n", u.item, u.reason)
		}
		break
	}
	last := ""
	for _, a := range k.assigned() {
		item, rest, _ := strings.Cut(a, "#")
		if item != last {
			fmt.Fprintf(&out, "%s%s:", map[bool]string{true: "\n"}[last != ""], item)
		}
		last = item
		fmt.Fprintf(&out, " %s", rest)
	}
	return strings.TrimPrefix(out.String(), "\n") + "\n"
}
