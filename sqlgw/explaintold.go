package sqlgw

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// planTold is what an EXPLAIN tells: how tables are read, the engine's operators, and how long it took.
type planTold struct {
	asked             *parse.Explain
	insert            *insertPlan
	tables            []tableNotes
	root              *operator
	planning, running time.Duration
}

// operator is one of the engine's plan.
type operator struct {
	name     string
	details  []property
	expected string // rows; "" if it isn't known
	rows     int64
	took     float64 // seconds
	children []*operator
}

// property of an operator or a table.
type property struct{ name, value string }

// engineOperator is how DuckDB's JSON has it: with different names before and after it has run.
type engineOperator struct {
	Name        string                     `json:"name"`
	RanName     string                     `json:"operator_name"`
	Timing      float64                    `json:"operator_timing"`
	Cardinality int64                      `json:"operator_cardinality"`
	Extra       map[string]json.RawMessage `json:"extra_info"`
	Children    []engineOperator           `json:"children"`
}

// read takes the engine's plan.
func (t *planTold) read(plan []byte) error {
	var roots []engineOperator
	if bytes.HasPrefix(bytes.TrimSpace(plan), []byte("{")) {
		var query engineOperator
		if err := json.Unmarshal(plan, &query); err != nil {
			return fmt.Errorf("explain: the engine's plan: %w", err)
		}
		roots = query.Children
		if len(roots) == 1 && roots[0].RanName == "EXPLAIN_ANALYZE" {
			roots = roots[0].Children
		}
	} else if err := json.Unmarshal(plan, &roots); err != nil {
		return fmt.Errorf("explain: the engine's plan: %w", err)
	}
	if len(roots) != 1 {
		return fmt.Errorf("explain: the engine's plan has %d roots", len(roots))
	}
	t.root = t.operator(&roots[0])
	return nil
}

// operatorNames are those that would say less by themselves; of others the engine's name is told.
var operatorNames = map[string]string{
	readInPlace: "Read in Place", "BS_SCAN": "Read Decoded", "DUMMY_SCAN": "Result", "COLUMN_DATA_SCAN": "Values",
	"HASH_GROUP_BY": "Hash Aggregate", "PERFECT_HASH_GROUP_BY": "Hash Aggregate", "UNGROUPED_AGGREGATE": "Aggregate", "ORDER_BY": "Sort",
}

const readInPlace = "READ_JSON"

// operatorDetails are what is told of an operator, in this order. Anything else may be about files.
var operatorDetails = []string{
	"Join Type", "Conditions", "Expression", "Filters", "Groups", "Aggregates", "Order By", "Top", "Limit", "Offset", "Projections",
	"CTE Index", "Delim Index",
}

// maxDetail bounds the text of one of them.
const maxDetail = 2000

func (t *planTold) operator(e *engineOperator) *operator {
	name := e.Name + e.RanName
	o := &operator{name: operatorNames[name], rows: e.Cardinality, took: e.Timing}
	if o.name == "" {
		o.name = titled(name)
	}
	for _, k := range operatorDetails {
		value := detail(e.Extra[k])
		if value == "" || k == "Projections" && !t.asked.Verbose {
			continue
		}
		label := map[string]string{"Projections": "Output", "Expression": "Filter", "Filters": "Filter"}[k]
		if label == "" {
			label = k
		}
		o.details = append(o.details, property{label, value})
	}
	o.expected = detail(e.Extra["Estimated Cardinality"])
	for i := range e.Children {
		o.children = append(o.children, t.operator(&e.Children[i]))
	}
	return o
}

// titled makes Hash Join of HASH_JOIN.
func titled(name string) string {
	words := strings.Split(strings.TrimSpace(strings.ToLower(name)), "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

// detail is a text, or a list of them, in one line.
func detail(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) != nil {
		var many []string
		if json.Unmarshal(raw, &many) != nil {
			return ""
		}
		one = strings.Join(many, ", ")
	}
	one = strings.Join(strings.Fields(one), " ")
	if len(one) <= maxDetail {
		return one
	}
	cut := maxDetail
	for !utf8.RuneStart(one[cut]) {
		cut--
	}
	return one[:cut] + "..."
}

// sum of what a function says of an operator and all below.
func (o *operator) sum(of func(*operator) int64) int64 {
	if o == nil {
		return 0
	}
	total := of(o)
	for _, c := range o.children {
		total += c.sum(of)
	}
	return total
}

// rowsInPlace are those that the engine read of files.
func (t *planTold) rowsInPlace() int64 {
	return t.root.sum(func(o *operator) int64 {
		if o.name == operatorNames[readInPlace] {
			return o.rows
		}
		return 0
	})
}

// bytesInPlace is the content of the files that the engine was given, all of which it needn't have read.
func (t *planTold) bytesInPlace() int64 {
	total := int64(0)
	for _, x := range t.tables {
		for _, p := range x.plans {
			total += p.shares.inPlace
		}
		total -= x.failed
	}
	return total
}

// text is the plan in lines.
func (t *planTold) text() []string {
	var out []string
	for i := range t.tables {
		out = append(out, "Read of "+t.tables[i].name())
		for _, p := range t.tables[i].properties(t.asked) {
			out = append(out, "  "+p.name+": "+p.value)
		}
	}
	if t.asked.Analyze {
		out = append(out, "Read in place: rows="+itoa(t.rowsInPlace())+", of at most "+itoa(t.bytesInPlace())+" bytes")
	}
	indent := ""
	if t.insert != nil {
		out = append(out, "Insert on "+t.insert.table.Name)
		indent = "  "
	}
	out = t.root.text(t.asked, out, indent, t.insert != nil)
	if t.asked.Summary {
		out = append(out, fmt.Sprintf("Planning Time: %.3f ms", milliseconds64(t.planning)))
		if t.asked.Analyze {
			out = append(out, fmt.Sprintf("Execution Time: %.3f ms", milliseconds64(t.running)))
		}
	}
	return out
}

func milliseconds64(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// text of an operator and those below it. An arrow leads to all but the first.
func (o *operator) text(asked *parse.Explain, out []string, indent string, arrow bool) []string {
	if o == nil {
		return out
	}
	line := indent + o.name
	below := indent + "  "
	if arrow {
		line = indent + "->  " + o.name
		below = indent + "      "
	}
	if asked.Costs && o.expected != "" {
		line += "  (rows=" + o.expected + ")"
	}
	switch {
	case asked.Timing:
		line += fmt.Sprintf(" (actual time=%.3f rows=%d)", o.took*1000, o.rows)
	case asked.Analyze:
		line += " (actual rows=" + itoa(o.rows) + ")"
	}
	out = append(out, line)
	for _, p := range o.details {
		out = append(out, below+p.name+": "+p.value)
	}
	for _, c := range o.children {
		out = c.text(asked, out, below, true)
	}
	return out
}

// document is the plan as JSON has it.
func (t *planTold) document() map[string]any {
	out := map[string]any{}
	plan := t.root.document(t.asked)
	if t.insert != nil {
		insert := map[string]any{"Node Type": "ModifyTable", "Operation": "Insert", "Relation Name": t.insert.table.Name, "Schema": t.insert.table.Schema}
		if plan != nil {
			insert["Plans"] = []any{plan}
		}
		plan = insert
	}
	out["Plan"] = plan
	reads := make([]map[string]any, len(t.tables))
	for i := range t.tables {
		reads[i] = map[string]any{"Relation Name": t.tables[i].table.Name, "Schema": t.tables[i].table.Schema}
		for _, p := range t.tables[i].properties(t.asked) {
			reads[i][p.name] = p.value
		}
	}
	out["Reads"] = reads
	if t.asked.Analyze {
		out["Read in Place"] = map[string]any{"Rows": t.rowsInPlace(), "Most Bytes": t.bytesInPlace()}
	}
	if t.asked.Summary {
		out["Planning Time"] = milliseconds64(t.planning)
		if t.asked.Analyze {
			out["Execution Time"] = milliseconds64(t.running)
		}
	}
	return out
}

func (o *operator) document(asked *parse.Explain) map[string]any {
	if o == nil {
		return nil
	}
	out := map[string]any{"Node Type": o.name}
	for _, p := range o.details {
		out[p.name] = p.value
	}
	if n, err := strconv.ParseInt(o.expected, 10, 64); err == nil && asked.Costs {
		out["Plan Rows"] = n
	}
	if asked.Analyze {
		out["Actual Rows"] = o.rows
	}
	if asked.Timing {
		out["Actual Total Time"] = o.took * 1000
	}
	if len(o.children) > 0 {
		plans := make([]map[string]any, len(o.children))
		for i, c := range o.children {
			plans[i] = c.document(asked)
		}
		out["Plans"] = plans
	}
	return out
}

func (x *tableNotes) name() string {
	return parse.Name{Schema: x.table.Schema, Name: x.table.Name}.String()
}

// properties tell how a table is read.
func (x *tableNotes) properties(asked *parse.Explain) []property {
	var all shares
	pruned := 0 // journals
	for _, p := range x.plans {
		all.add(p.shares)
		if p.part && len(p.pieces) == 0 {
			pruned++
		}
	}
	out := []property{
		{"Journals", fmt.Sprintf("%d, with %d bytes below the cut", len(x.plans), all.whole)},
		{"Fragments", fmt.Sprintf("%d of %d chosen, %d held by others, %d pruned", all.chosen, all.fragments, all.covered, all.skipped)},
	}
	if all.pruned > 0 {
		out = append(out, property{"Pruned", fmt.Sprintf("%d bytes, %d whole journals", all.pruned, pruned)})
	}
	out = append(out, property{"To read", listed(
		property{"stored files", itoa(all.inPlace - x.copied - x.failed)}, property{"object cache", itoa(x.copied)},
		property{"stored fragments, decoded", itoa(all.stored + x.failed)}, property{"spools", itoa(all.spooled)},
		property{"the head", itoa(all.headless)}, property{"this transaction", itoa(x.staged)},
	)})
	if asked.Verbose {
		for _, p := range x.plans {
			s := p.shares
			out = append(out, property{"Journal " + p.journal, fmt.Sprintf("[%d, %d), %d of %d fragments, %d of %d bytes", p.begin, p.head, s.chosen, s.fragments, s.whole-s.pruned, s.whole)})
		}
	}
	return append(out, x.ran(asked)...)
}

// ran tells what was decoded while the statement ran.
func (x *tableNotes) ran(asked *parse.Explain) []property {
	if !asked.Analyze {
		return nil
	}
	c := x.counts
	headBytes := c.headHit.Load() + c.headRead.Load()
	out := []property{
		{"Decoded", fmt.Sprintf("rows=%d bytes=%d", c.rows.Load(), c.bytes.Load())},
		{"Head", fmt.Sprintf("rows=%d bytes=%d", c.headRows.Load(), headBytes)},
	}
	if x.staged > 0 {
		out = append(out, property{"This transaction", fmt.Sprintf("rows=%d bytes=%d", c.stagedRows.Load(), c.stagedBytes.Load())})
	}
	if asked.Buffers {
		out = append(out, property{"Head cache", fmt.Sprintf("hit=%d read=%d", c.headHit.Load(), c.headRead.Load())})
	}
	return out
}

// listed are those that aren't zero, between commas.
func listed(parts ...property) string {
	parts = slices.DeleteFunc(parts, func(p property) bool { return p.value == "0" })
	if len(parts) == 0 {
		return "nothing"
	}
	var out []string
	for _, p := range parts {
		out = append(out, p.value+" bytes of "+p.name)
	}
	return strings.Join(out, ", ")
}

func (s *shares) add(o shares) {
	s.whole += o.whole
	s.pruned += o.pruned
	s.inPlace += o.inPlace
	s.stored += o.stored
	s.spooled += o.spooled
	s.headless += o.headless
	s.fragments += o.fragments
	s.chosen += o.chosen
	s.covered += o.covered
	s.skipped += o.skipped
}
