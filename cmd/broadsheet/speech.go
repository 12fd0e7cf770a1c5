package main

import "broadsheet.dev/broadsheet/internal/speech"

// How this program talks:
//
//   - Results go to standard output, everything else to standard error.
//   - An error is one line, "broadsheet: what, where"; what to do about it is a second
//     line, "hint: ...".
//   - Every flag --a-b.c has a variable BROADSHEET_A_B_C; the flag wins. Those of brokers
//     have Gazette's too, A_B_C.

func withHint(err error, hint string) error { return speech.WithHint(err, hint) }
