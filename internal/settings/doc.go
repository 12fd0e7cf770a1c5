// Package settings is where values of flags come from, if they aren't given: the
// environment, an INI file, the flag's default, in this order.
//
// # What
//
// A flag --a-b.c is BROADSHEET_A_B_C in the environment. Where Gazette's tools have it
// too, the variable without BROADSHEET_ counts as well, after it.
//
// The INI file is broadsheet.ini or gazctl.ini in the current directory, in
// ~/.config/broadsheet or in ~/.config/gazette; the first that is there counts. Its
// sections are commands, or groups of a command's flags:
//
//	[journals.Broker]
//	Address = http://broker.example:8080
//
//	[journals.list]
//	Primary = true
//
// Any section or key that isn't known is an error with its line.
//
// # Invariants
//
//   - A value of the environment or of the file that a flag doesn't take is an error that names the variable, or the line.
//   - Values of flags that are secret are neither printed nor in errors.
//
// # Goroutines
//
// None.
//
// # Testing
//
// fuzz_test.go; and the scripts of cmd/broadsheet/journals, with the commands that take settings.
package settings
