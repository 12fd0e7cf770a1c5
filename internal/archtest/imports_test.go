package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "broadsheet.dev/broadsheet/"

// room is what a top-level folder may import of ours, and why not more.
// Every room may import itself and internal/. "x/..." covers x and all below it.
type room struct {
	may []string
	why string
}

var rooms = map[string]room{
	"protocol":  {nil, "the vocabulary is the floor: no I/O, nothing below it"},
	"message":   {[]string{"protocol/..."}, "framing and sequencing are pure"},
	"keyspace":  {nil, "a mirror of etcd knows no journals"},
	"fragments": {[]string{"protocol/...", "message/..."}, "fragments don't coordinate and know no brokers"},
	"allocator": {[]string{"keyspace/..."}, "the allocator knows items and members, not journals"},
	"broker": {
		[]string{"protocol/...", "fragments/...", "allocator/...", "keyspace/..."},
		"the server doesn't use its own client, and knows no consumers or tables",
	},
	"client": {[]string{"protocol/...", "message/...", "fragments/codec"}, "clients reach brokers by the protocol alone"},
	"consumer": {
		[]string{"protocol/...", "message/...", "client/...", "allocator/...", "keyspace/..."},
		"client is the only door to brokers",
	},
	"catalog": {
		[]string{"protocol/...", "message/...", "client/...", "fragments/...", "consumer/...", "keyspace/..."},
		"tables sit above journals and know no SQL engine",
	},
	"views": {
		[]string{"protocol/...", "message/...", "client/...", "consumer/...", "catalog/...", "fragments/...", "sqlgw/parse", "sqlgw/duck"},
		"views are consumers; sqlgw imports views, not the other way round",
	},
	"sqlgw": {
		[]string{"protocol/...", "message/...", "client/...", "catalog/...", "views/...", "pgwire/...", "fragments/..."},
		"the gateway reaches brokers through client",
	},
	"pgwire":   {nil, "pgwire speaks Postgres and nothing else"},
	"internal": {nil, "leaves: they know no room"},
	"cmd":      {[]string{"..."}, ""},
	"examples": {[]string{"..."}, ""},
	"test":     {[]string{"..."}, ""},
	"bench":    {[]string{"..."}, ""},
}

// cgoHomes are the only places where a package may use cgo, its own or a library's;
// cgoReach are the rooms which may reach them.
var (
	cgoHomes = []string{"sqlgw/duck", "sqlgw/parse"}
	cgoReach = []string{"sqlgw", "views", "cmd", "test", "bench"}
)

type pkg struct {
	ImportPath string
	Standard   bool
	Doc        string
	Dir        string
	Imports    []string
	Deps       []string
	CgoFiles   []string
}

func match(pattern, p string) bool {
	if pattern == "..." {
		return true
	}
	base, tree := strings.CutSuffix(pattern, "/...")
	return p == base || (tree && strings.HasPrefix(p, base+"/"))
}

func roomOf(p string) string {
	r, _, _ := strings.Cut(p, "/")
	return r
}

func atHome(p string) bool {
	return slices.ContainsFunc(cgoHomes, func(h string) bool { return match(h+"/...", p) })
}

// load lists our packages, those of nested modules too, and which packages at all use cgo.
func load(t *testing.T) ([]pkg, map[string]bool) {
	t.Helper()
	var ours []pkg
	cgo := map[string]bool{}
	for _, dir := range append([]string{"."}, modules(t)...) {
		for _, p := range list(t, dir) {
			_, seen := cgo[p.ImportPath]
			cgo[p.ImportPath] = !p.Standard && len(p.CgoFiles) > 0 && !slices.Contains(cgoIfThereIs, p.ImportPath)
			if !seen && strings.HasPrefix(p.ImportPath, module) {
				ours = append(ours, p)
			}
		}
	}
	return ours, cgo
}

// list the packages of a module, with those that they are built of.
func list(t *testing.T, dir string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Doc,Dir,Imports,Deps,CgoFiles", "./...")
	cmd.Dir = filepath.Join("../..", dir)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go list in %s", dir)
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

// violations of the import and cgo rules by one package.
func violations(p pkg, cgo map[string]bool) []string {
	from := strings.TrimPrefix(p.ImportPath, module)
	r, ruled := rooms[roomOf(from)]
	if !ruled {
		return []string{from + ": no rule; add its room to the table"}
	}
	var bad []string
	for _, imp := range p.Imports {
		if cgo[imp] && !atHome(from) && !strings.HasPrefix(imp, module) {
			bad = append(bad, from+" may not import "+imp+": cgo lives below "+strings.Join(cgoHomes, ", "))
		}
		to, own := strings.CutPrefix(imp, module)
		ok := !own || roomOf(to) == roomOf(from) || match("internal/...", to) ||
			slices.ContainsFunc(r.may, func(m string) bool { return match(m, to) })
		if !ok {
			bad = append(bad, from+" may not import "+to+": "+r.why)
		}
	}
	if cgo[p.ImportPath] && !atHome(from) {
		bad = append(bad, from+" uses cgo: it lives below "+strings.Join(cgoHomes, ", "))
	}
	for _, dep := range p.Deps {
		if cgo[dep] && !slices.Contains(cgoReach, roomOf(from)) {
			bad = append(bad, from+" reaches cgo through "+strings.TrimPrefix(dep, module))
		}
	}
	return bad
}

// cgoIfThereIs are packages below Pebble that use cgo where there is one, and are Go alone otherwise: a store of a shard
// has the same files either way. That all is built without is for make test-nocgo to show.
var cgoIfThereIs = []string{"github.com/DataDog/zstd", "github.com/cockroachdb/pebble/v2/internal/manual"}

func TestImportRules(t *testing.T) {
	ours, cgo := load(t)
	for _, p := range ours {
		for _, v := range violations(p, cgo) {
			t.Error(v)
		}
	}
}

// TestRulesCatch shows that the rules can fail.
func TestRulesCatch(t *testing.T) {
	cgo := map[string]bool{"example.com/cgo": true, module + "sqlgw/duck": true}
	for from, imp := range map[string]string{
		"broker":       module + "client",
		"consumer":     module + "sqlgw/duck",
		"protocol":     module + "broker",
		"sqlgw":        "example.com/cgo",
		"warehouse":    "fmt",
		"internal/foo": module + "protocol",
	} {
		require.NotEmpty(t, violations(pkg{ImportPath: module + from, Imports: []string{imp}}, cgo), "%s -> %s", from, imp)
	}
	require.NotEmpty(t, violations(pkg{ImportPath: module + "broker", Deps: []string{module + "sqlgw/duck"}}, cgo))
	require.Empty(t, violations(pkg{ImportPath: module + "sqlgw/duck", Imports: []string{"example.com/cgo"}}, cgo))
}
