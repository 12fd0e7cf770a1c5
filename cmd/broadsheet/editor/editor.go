// Package editor changes a text in a person's editor until it can be applied, or the person gives up.
//
// # What
//
// The editor is $GAZ_EDITOR, else $EDITOR, else vi. If what was edited can't be applied, it opens again with the reason at the
// top. A text that is left as it is, or empty, changes nothing.
//
// # Invariants
//
//   - Nothing that was edited is lost without an error that tells why it wasn't applied.
//
// # Goroutines
//
// None.
//
// # Testing
//
// The scripts of journals edit and shards edit.
package editor

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// Edit a text of a command, in a file of the name, until what became of it is applied, or nothing is changed any more.
func Edit(ctx context.Context, cmd *cobra.Command, name string, text []byte, apply func(ctx context.Context, edited []byte) error) error {
	dir, err := os.MkdirTemp("", "broadsheet-edit")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	e := editing{cmd: cmd, path: filepath.Join(dir, name), apply: apply}
	// An interrupt of the editor doesn't end what follows; a second one after it does.
	return e.until(context.WithoutCancel(ctx), text)
}

// editing is one text until it was applied, or given up.
type editing struct {
	cmd   *cobra.Command
	path  string
	apply func(ctx context.Context, edited []byte) error
}

// until the text is applied.
func (e *editing) until(ctx context.Context, before []byte) error {
	var failure error
	for text := before; ; {
		edited, err := e.open(ctx, text, failure)
		switch {
		case err != nil && failure != nil:
			return fmt.Errorf("%w (and what was edited wasn't applied: %w)", err, failure)
		case err != nil:
			return err
		case len(bytes.TrimSpace(edited)) == 0, bytes.Equal(edited, text):
			if failure != nil { // which was read, and nothing done about it
				return fmt.Errorf("edit: nothing is applied: %w", failure)
			}
			_, err = fmt.Fprintln(e.cmd.OutOrStdout(), "nothing was changed")
			return err
		}
		if err = e.apply(ctx, edited); err == nil {
			return nil
		}
		text, failure = edited, err
	}
}

// banner begins lines that this command writes.
const banner = "#! "

// open the text in the editor, below the reason why it is opened again, and return what
// became of it, without that.
func (e *editing) open(ctx context.Context, text []byte, failure error) ([]byte, error) {
	var head strings.Builder
	if failure != nil {
		for line := range strings.SplitSeq("It wasn't applied: "+failure.Error(), "\n") {
			head.WriteString(banner + line + "\n")
		}
	}
	if err := os.WriteFile(e.path, append([]byte(head.String()), text...), 0o600); err != nil {
		return nil, err
	}
	editor := cmp.Or(os.Getenv("GAZ_EDITOR"), os.Getenv("EDITOR"), "vi")
	// An editor may be a command with arguments.
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "editor", e.path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.cmd.InOrStdin(), e.cmd.OutOrStdout(), e.cmd.ErrOrStderr()
	if err := runEditor(cmd); err != nil {
		return nil, fmt.Errorf("edit: editor %q: %w", editor, err)
	}
	edited, err := os.ReadFile(e.path)
	if err != nil {
		return nil, fmt.Errorf("edit: %w", err)
	}
	for bytes.HasPrefix(edited, []byte(banner)) {
		_, edited, _ = bytes.Cut(edited, []byte("\n"))
	}
	return edited, nil
}

// runEditor lets an interrupt be the editor's own affair while it runs: to many it is a key
// like others.
func runEditor(cmd *exec.Cmd) error {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, os.Interrupt) // which, unlike Ignore, the editor doesn't inherit
	defer signal.Stop(ignored)
	return cmd.Run()
}
