package main

import (
	"fmt"
	"slices"
	"strings"
)

// figure is one measured line.
type figure struct {
	Group  string             `json:"group"`
	Name   string             `json:"name"`
	Values map[string]float64 `json:"values"`
}

// report collects figures and prints them as they come.
type report struct {
	Figures []figure `json:"figures"`
	group   string
	columns []string
}

// section begins a table with these columns.
func (r *report) section(title string, columns ...string) {
	r.group, r.columns = title, columns
	fmt.Printf("\n%s\n  %-34s", title, "")
	for _, c := range columns {
		fmt.Printf(" %14s", c)
	}
	fmt.Println()
}

// add prints a line of the table.
func (r *report) add(name string, values ...float64) {
	f := figure{Group: r.group, Name: name, Values: map[string]float64{}}
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

// median of values.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// percentile of sorted values.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}
