package duck

/*
#include <stddef.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

// What DuckDB is linked with; on some systems it has no allocator of its own.
extern int duckdb_je_mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len) __attribute__((weak));

static void give_back(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	if (duckdb_je_mallctl)
		duckdb_je_mallctl("arena.4096.purge", NULL, NULL, NULL, 0); // 4096 stands for all arenas
}
*/
import "C"

// GiveBack has the allocators of the C library and of DuckDB unmap what they hold that nothing uses. By themselves they have been seen to
// keep some hundred MiB for as long as no further query ran. It takes milliseconds for each hundred MiB.
func GiveBack() { C.give_back() }
