package archtest

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// row of a page that says what is promised: a number, a text, a state, and what shows it.
type row struct {
	line, number, text, state string
	shown                     []string
}

// rowsOf a page are its table rows of four cells whose first is a number as wanted.
func rowsOf(t *testing.T, page string, number *regexp.Regexp) []row {
	t.Helper()
	content, err := os.ReadFile("../../docs/" + page)
	require.NoError(t, err)
	var rows []row
	seen := make(map[string]bool)
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "| "), "|")
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || !number.MatchString(cells[0]) {
			require.False(t, number.MatchString(cells[0]), "%s: a row has four cells: %s", page, line)
			continue
		}
		r := row{line: line, number: cells[0], text: cells[1], state: cells[2]}
		require.False(t, seen[r.number], "%s: %s is there twice", page, r.number)
		seen[r.number] = true
		for _, ref := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1) {
			r.shown = append(r.shown, ref[1])
		}
		rows = append(rows, r)
	}
	return rows
}

// states of the compatibility page. What differs says why; what is missing may say what.
var states = regexp.MustCompile(`^(works|works, pinned, not run against Gazette|differs: \S.*|missing(: \S.*)?)$`)

// TestCompatibilityPage: each capability has a row, each row a state of those there are, and what is there
// names tests that exist. So does what deviates from Gazette or was seen there: [Q], [V] and [W].
func TestCompatibilityPage(t *testing.T) {
	rows := rowsOf(t, "compatibility.md", regexp.MustCompile(`^([0-3](\.[0-9]+)+|[JBSALC][0-9]+)[a-z]?$`))
	for _, r := range rows {
		require.Regexp(t, states, r.state, r.line)
		require.False(t, !strings.HasPrefix(r.state, "missing") && len(r.shown) == 0, "nothing shows: %s", r.line)
		for _, ref := range r.shown {
			checkReference(t, ref)
		}
	}
	for prefix, n := range map[string][2]int{"0.": {1, 20}, "J": {1, 19}, "B": {1, 39}, "S": {0, 7}, "A": {1, 12}, "L": {1, 10}} {
		for i := n[0]; i <= n[1]; i++ {
			want := prefix + strconv.Itoa(i)
			require.True(t, slices.ContainsFunc(rows, func(r row) bool {
				return strings.TrimRight(r.number, "abcdefgh") == want
			}), "%s has no row", want)
		}
	}
}

// TestFaultModel: each line of docs/fault-model.md that says what becomes of acknowledged appends names tests that
// exist.
func TestFaultModel(t *testing.T) {
	content, err := os.ReadFile("../../docs/fault-model.md")
	require.NoError(t, err)
	faults := 0
	for line := range strings.Lines(string(content)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | ")
		if len(cells) != 4 || cells[0] == "fault" {
			continue
		}
		faults++
		refs := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1)
		require.NotEmpty(t, refs, line)
		for _, ref := range refs {
			checkReference(t, ref[1])
		}
	}
	require.Greater(t, faults, 10)
}
