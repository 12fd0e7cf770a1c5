// Package sql asks a real server in SQL, through pgx. It has tests only.
package sql
