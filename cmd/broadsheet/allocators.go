package main

// allocators are variables of a gateway's environment. Arenas, of which there is one for each thread else, and what they keep that isn't used,
// would count for the process's ceiling for nothing: those of the C library, and DuckDB's.
func allocators() []string {
	return []string{"MALLOC_ARENA_MAX=2", "DUCKDB_JE_MALLOC_CONF=retain:false,narenas:4,dirty_decay_ms:500,muzzy_decay_ms:0"}
}
