package chaos

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// flushInterval of the journals: the least that there is.
	flushInterval = time.Minute
	// retry bounds how long it takes until something is stored that was to be stored, with a store that is up:
	// back-off may be in the middle of a pause.
	retry = 40 * time.Second
)

// checkExposure holds that brokers tell of every acknowledged byte that isn't stored; and, if that is to be
// awaited, that none is left once all had to be stored (J10).
func (r *run) checkExposure(ctx context.Context, contents map[string][]byte) ([]string, error) {
	for until := time.Now().Add(flushInterval + retry); ; {
		said, err := r.unstored(ctx)
		if err != nil {
			return nil, err
		}
		// They are looked at after the brokers were asked: there can only be more of them.
		objects, err := r.cluster.depot.objects()
		if err != nil {
			return nil, err
		}
		hidden, left := exposed(contents, objects, said)
		if len(hidden) > 0 || len(left) == 0 || !r.cfg.AwaitStored {
			return hidden, nil
		}
		if time.Now().After(until) {
			return left, nil
		}
		if err := pause(ctx, 2*time.Second); err != nil {
			return nil, err
		}
	}
}

// unstored is how much of each journal isn't stored, as the brokers say.
func (r *run) unstored(ctx context.Context) (map[string]int64, error) {
	said := make(map[string]int64)
	for _, m := range r.cluster.brokers {
		values, err := m.unstored(ctx)
		if err != nil {
			return nil, err
		}
		for journal, n := range values {
			said[journal] = max(said[journal], int64(n))
		}
	}
	return said, nil
}

// exposed tells of which journals more isn't stored than is said, and of which anything isn't.
func exposed(contents, objects map[string][]byte, said map[string]int64) (hidden, left []string) { //nolint:nonamedreturns // which is which
	for _, journal := range slices.Sorted(maps.Keys(contents)) {
		missing := int64(len(contents[journal])) - covered(journal, objects)
		text := fmt.Sprintf("J10: journal %s: %d bytes aren't stored, brokers say %d", journal, missing, said[journal])
		if missing > said[journal] {
			hidden = append(hidden, text)
		}
		if missing > 0 || said[journal] > 0 {
			left = append(left, text+", and all were to be by now")
		}
	}
	return hidden, left
}

// covered is up to where a journal's objects have it without a gap.
func covered(journal string, objects map[string][]byte) int64 {
	var spans []span
	for name := range objects {
		if path.Dir(name) != journal {
			continue
		}
		if s, _, err := spanOf(path.Base(name)); err == nil {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.begin, b.begin) })
	end := int64(0)
	for _, s := range spans {
		if s.begin <= end {
			end = max(end, s.end)
		}
	}
	return end
}

// unstored is what a broker says of the acknowledged bytes that aren't stored, by journal.
func (m *member) unstored(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.address+"/debug/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	out := make(map[string]float64)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), `broadsheet_broker_unstored_bytes{journal="`)
		if !ok {
			continue
		}
		journal, value, _ := strings.Cut(rest, `"} `)
		if out[journal], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("metrics of %s: %w", m.name, err)
		}
	}
	return out, lines.Err()
}
