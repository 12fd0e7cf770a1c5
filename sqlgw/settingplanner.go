package sqlgw

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// plannerSettings are PostgreSQL's for its planner and executor, which aren't here: so there is nothing that a value could
// change. They are taken, since clients set them whatever server they meet, if PostgreSQL would take them.
func plannerSettings() []setting {
	var out []setting
	for name := range strings.FieldsSeq(`array_nulls enable_async_append enable_bitmapscan enable_gathermerge enable_hashagg enable_hashjoin
		enable_incremental_sort enable_indexonlyscan enable_indexscan enable_material enable_memoize enable_mergejoin enable_nestloop
		enable_parallel_append enable_parallel_hash enable_partition_pruning enable_seqscan enable_sort enable_tidscan geqo jit
		parallel_leader_participation`) {
		out = append(out, setting{name: name, initial: "on", check: boolean})
	}
	for _, x := range []struct {
		name, initial string
		check         func(string) (string, bool)
		hint          string
	}{
		{"constraint_exclusion", "partition", oneOf("partition", "on", "off"), "partition, on, off"},
		{"cpu_index_tuple_cost", "0.005", realNumber(0, math.MaxFloat64), "a number from 0"},
		{"cpu_operator_cost", "0.0025", realNumber(0, math.MaxFloat64), "a number from 0"},
		{"cpu_tuple_cost", "0.01", realNumber(0, math.MaxFloat64), "a number from 0"},
		{"effective_cache_size", "4GB", size(8), hintSize},
		{"from_collapse_limit", "8", integer(1, math.MaxInt32), "1 to 2147483647"},
		{"hash_mem_multiplier", "2", realNumber(1, 1000), "1 to 1000"},
		{"join_collapse_limit", "8", integer(1, math.MaxInt32), "1 to 2147483647"},
		{"maintenance_work_mem", "64MB", size(1024), hintSize},
		{"max_parallel_workers", "8", integer(0, 1024), "0 to 1024"},
		{"max_parallel_workers_per_gather", "2", integer(0, 1024), "0 to 1024"},
		{"parallel_setup_cost", "1000", realNumber(0, math.MaxFloat64), "a number from 0"},
		{"parallel_tuple_cost", "0.1", realNumber(0, math.MaxFloat64), "a number from 0"},
		{"plan_cache_mode", "auto", oneOf("auto", "force_generic_plan", "force_custom_plan"), "auto, force_generic_plan, force_custom_plan"},
		{"random_page_cost", "4", realNumber(0, math.MaxFloat64), "a number from 0"},
		{"seq_page_cost", "1", realNumber(0, math.MaxFloat64), "a number from 0"},
		{"temp_buffers", "8MB", size(800), hintSize},
		{"work_mem", "4MB", size(64), hintSize},
	} {
		out = append(out, setting{name: x.name, initial: x.initial, check: x.check, hint: x.hint})
	}
	return out
}

const hintSize = "kilobytes, or a number with B, kB, MB, GB or TB"

// integer reads a whole number within bounds.
func integer(least, most int64) func(string) (string, bool) {
	return func(v string) (string, bool) {
		n, err := strconv.ParseInt(strings.TrimSpace(v), 0, 64)
		return strconv.FormatInt(n, 10), err == nil && n >= least && n <= most
	}
}

// realNumber reads a number within bounds.
func realNumber(least, most float64) func(string) (string, bool) {
	return func(v string) (string, bool) {
		x, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return strconv.FormatFloat(x, 'g', -1, 64), err == nil && x >= least && x <= most
	}
}

// sizeUnits are those of memory in bytes, the largest first.
func sizeUnits() []sizeUnit {
	return []sizeUnit{{"TB", 1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"kB", 1 << 10}, {"B", 1}}
}

type sizeUnit struct {
	suffix string
	bytes  float64
}

// kilobytes reads a size: a number that may have a fraction, and a unit, kilobytes without one.
func kilobytes(v string) (int64, bool) {
	number, scale := strings.TrimSpace(v), float64(1<<10)
	for _, u := range sizeUnits() {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, scale = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	x, err := strconv.ParseFloat(number, 64)
	kb := math.RoundToEven(x * scale / (1 << 10))
	return int64(kb), err == nil && kb >= 0 && kb <= math.MaxInt32
}

// size reads one of memory of so many kilobytes at least, and writes it in the largest unit of which it is a whole number.
func size(least int64) func(string) (string, bool) {
	return func(v string) (string, bool) {
		kb, ok := kilobytes(v)
		if !ok || kb < least {
			return "", false
		}
		for _, u := range sizeUnits() {
			if n := int64(u.bytes) >> 10; n > 0 && kb%n == 0 {
				return strconv.FormatInt(kb/n, 10) + u.suffix, true
			}
		}
		return "", false
	}
}

// kind of a setting as pg_settings tells it, and its unit.
func (e *setting) kind() (string, string) {
	switch {
	case strings.HasSuffix(e.name, "_timeout") && e.name != "broadsheet.fetch_timeout":
		return "integer", "ms"
	case e.name == "temp_buffers", e.name == "effective_cache_size":
		return "integer", "8kB"
	case strings.HasSuffix(e.name, "work_mem"):
		return "integer", "kB"
	case strings.HasSuffix(e.name, "_cost") || e.name == "hash_mem_multiplier":
		return "real", ""
	case slices.Contains([]string{"block_size", "extra_float_digits", "server_version_num"}, e.name), strings.HasPrefix(e.name, "max_"), e.name == settingMaxRows, strings.HasSuffix(e.name, "_limit"):
		return "integer", ""
	case slices.Contains([]string{
		"bytea_output", "client_min_messages", "constraint_exclusion", "default_transaction_isolation", "IntervalStyle", "plan_cache_mode",
		"synchronous_commit", "transaction_isolation", "xmloption",
	}, e.name):
		return "enum", ""
	case e.initial == "on" || e.initial == "off":
		return "bool", ""
	default:
		return "string", ""
	}
}

// raw is a value as pg_settings has it: a number of its unit.
func (e *setting) raw(value string) string {
	_, unit := e.kind()
	switch unit {
	case "ms":
		if ms, ok := milliseconds(value); ok {
			return strconv.FormatInt(ms, 10)
		}
	case "kB", "8kB":
		if kb, ok := kilobytes(value); ok {
			if unit == "8kB" {
				kb /= 8
			}
			return strconv.FormatInt(kb, 10)
		}
	}
	return value
}
