// Package figures keeps what benchmarks measure, and prints it.
//
// # What
//
// A Report has tables of figures, which are printed as they come and written as JSON.
//
// # Invariants
//
//   - What is printed and what is written are the same figures.
//
// # Goroutines
//
// None.
//
// # Testing
//
// By looking at what the benchmarks print.
package figures

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Figure is one measured line.
type Figure struct {
	Group  string             `json:"group"`
	Name   string             `json:"name"`
	Values map[string]float64 `json:"values"`
}

// Report collects figures and prints them as they come.
type Report struct {
	Figures []Figure
	group   string
	columns []string
}

// Section begins a table with these columns.
func (r *Report) Section(title string, columns ...string) {
	r.group, r.columns = title, columns
	fmt.Printf("\n%s\n  %-34s", title, "")
	for _, c := range columns {
		fmt.Printf(" %14s", c)
	}
	fmt.Println()
}

// Add prints a line of the table.
func (r *Report) Add(name string, values ...float64) {
	f := Figure{Group: r.group, Name: name, Values: map[string]float64{}}
	fmt.Printf("  %-34s", name)
	for i, v := range values {
		f.Values[r.columns[i]] = v
		fmt.Printf(" %14s", format(v))
	}
	fmt.Println()
	r.Figures = append(r.Figures, f)
}

func format(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 1000:
		s := fmt.Sprintf("%.0f", v)
		var b strings.Builder
		for i, c := range s {
			if i > 0 && (len(s)-i)%3 == 0 {
				b.WriteByte(' ')
			}
			b.WriteRune(c)
		}
		return b.String()
	default:
		return fmt.Sprintf("%.3g", v)
	}
}

// Median of values.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// Percentile of sorted values.
func Percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

// Write all figures as JSON to a file; an empty name is none.
func (r *Report) Write(name string) error {
	if name == "" {
		return nil
	}
	b, err := json.MarshalIndent(r.Figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}
