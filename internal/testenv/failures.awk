#!/usr/bin/awk -f
# Prints, of the output of `go test -v`, the part of each test that failed.
/^=== (RUN|CONT|NAME)/ { name = $3; next }
/^--- FAIL|^    --- FAIL/ { sub(/:$/, "", $3); print; printf "%s", text[$3]; delete text[$3]; next }
/^--- (PASS|SKIP)/ { delete text[$3]; next }
/^(panic:|fatal error:|# |.*\[build failed\]|.*\[setup failed\]|FAIL)/ { print; loud = /^(panic|fatal|#)/ ? 40 : 0; next }
loud > 0 { print; loud--; next }
{ text[name] = text[name] $0 "\n" }
