#!/usr/bin/awk -f
# Prints, of the output of `go test -v` of examples, a line for each test: how it went, and why it wasn't run.
/^=== (RUN|CONT|NAME)/ { name = $3; next }
/not run: / { why[name] = substr($0, index($0, "not run: ")) }
/^--- (PASS|FAIL|SKIP): / { n++; tests[n] = $3; how[n] = substr($2, 1, 4); next }
/^(ok|FAIL)[ \t]+[^ \t]+\// {
	if (n == 0) printf "%-8s %s\n", ($1 == "ok" ? "no test" : "failed"), example($2)
	for (i = 1; i <= n; i++) {
		said = how[i] == "PASS" ? "ok" : how[i] == "FAIL" ? "failed" : (tests[i] in why) ? why[tests[i]] : "skipped"
		printf "%-8s %s %s\n", said, example($2), substr(tests[i], 5)
	}
	n = 0
	delete why
}
function example(path) { sub(/.*\/examples\//, "", path); return path }
