package sql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/internal/speech"
)

// options of the command.
type options struct {
	address address
	command []string
	file    string
	output  string
	quiet   bool
}

// Command is "broadsheet sql".
func Command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "sql",
		Short: "Ask the SQL gateway, on a machine without psql",
		Long: `Sends statements to the SQL gateway and prints what comes back: those of --command, or of --file, or else of standard
input, where a person may type them. Each ends with a semicolon. The data of a COPY ... FROM STDIN follows it, up to a
line of \. or the end; with --command it is standard input. The first statement that fails ends the command, with exit
code 1, unless a person types them.`,
		Example: `  broadsheet sql -c 'SELECT count(*) FROM clicks'
  broadsheet sql -c 'SUBSCRIBE TO clicks' --output json
  broadsheet sql -c 'COPY clicks FROM STDIN (FORMAT csv)' < clicks.csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	p := cmd.Flags()
	o.address.add(p)
	p.StringArrayVarP(&o.command, "command", "c", nil, "statements to run; may be given more than once")
	p.StringVarP(&o.file, "file", "f", "", "file of statements to run; - is standard input")
	p.BoolVarP(&o.quiet, "quiet", "q", false, "print no tags of statements that have no rows")
	addOutput(cmd, &o.output)
	return cmd
}

func addOutput(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", formats()[0], "format of results: "+strings.Join(formats(), ", "))
}

func checkOutput(output string) error {
	if !slices.Contains(formats(), output) {
		return speech.WithHint(fmt.Errorf("--output: unknown format %q", output), "formats are "+strings.Join(formats(), ", "))
	}
	return nil
}

func (o *options) run(cmd *cobra.Command) error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	if len(o.command) > 0 && o.file != "" {
		return speech.WithHint(errors.New("sql: --command and --file"), "give one of them")
	}
	config, err := o.address.config()
	if err != nil {
		return err
	}
	in := cmd.InOrStdin()
	if o.file != "" && o.file != "-" {
		f, err := os.Open(o.file)
		if err != nil {
			return fmt.Errorf("--file: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	c, err := dial(cmd.Context(), config)
	if err != nil {
		return advise(err)
	}
	s := &session{conn: c, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), print: newPrinter(o.output, cmd.OutOrStdout(), o.quiet)}
	return advise(errors.Join(o.converse(cmd.Context(), s, in), c.close()))
}

// converse runs what there is to run.
func (o *options) converse(ctx context.Context, s *session, in io.Reader) error {
	if len(o.command) > 0 {
		s.in = pieces(in)
		for _, text := range o.command {
			if err := s.run(ctx, text); err != nil {
				return err
			}
		}
		return nil
	}
	if f, ok := in.(*os.File); ok && isTerminal(f) && o.file == "" {
		return interact(ctx, s, newScript(in))
	}
	return runScript(ctx, s, newScript(in))
}

// pieces reads data as it comes.
func pieces(in io.Reader) func() func() ([]byte, error) {
	buffer := make([]byte, 64<<10)
	return func() func() ([]byte, error) {
		return func() ([]byte, error) {
			n, err := in.Read(buffer)
			return buffer[:n], err
		}
	}
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS) //nolint:gosec // descriptors are small
	return err == nil
}

// advise adds what can be done about an error: the server's hint, if it has one.
func advise(err error) error {
	if e, ok := errors.AsType[*commandError](err); ok {
		return speech.WithHint(err, e.hint())
	}
	if e, ok := errors.AsType[*statementError](err); ok && e.pg.Hint != "" {
		return speech.WithHint(err, e.pg.Hint)
	}
	return err
}

// runScript runs the statements of a script until one fails.
func runScript(ctx context.Context, s *session, from *script) error {
	s.in = from.data
	for {
		text, err := from.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = s.run(ctx, text)
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// interact runs what a person types. An interrupt ends the statement that runs, not the session.
func interact(ctx context.Context, s *session, from *script) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	s.in, ctx = from.data, context.WithoutCancel(ctx)
	_, _ = fmt.Fprintf(s.err, "Connected to %s. Statements end with a semicolon; \\q ends.\n", s.conn.net.RemoteAddr())
	from.prompt = s.prompt
	for {
		text, err := from.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = s.interruptible(ctx, signals, text)
		}
		if err != nil && !isMistake(err) {
			return err
		}
		if err != nil {
			speech.Say(s.err, "broadsheet", advise(err))
		}
	}
}

// isMistake reports whether a session goes on after an error.
func isMistake(err error) bool {
	if _, ok := errors.AsType[*commandError](err); ok {
		return true
	}
	e, ok := errors.AsType[*statementError](err)
	return ok && e.pg.Severity == "ERROR"
}

// prompt as psql does: what is before the character is the database, and the character says whether a statement, and a
// transaction, has been begun.
func (s *session) prompt(begun bool) {
	mark, open := "=", ""
	if begun {
		mark = "-"
	}
	switch s.conn.status {
	case 'T':
		open = "*"
	case 'E':
		open = "!"
	}
	_, _ = fmt.Fprintf(s.err, "%s%s%s> ", s.conn.config.Database, mark, open)
}

// interruptible runs a text, and has the server end it at the first signal.
func (s *session) interruptible(ctx context.Context, signals <-chan os.Signal, text string) error {
	ctx, cancel := context.WithCancel(ctx)
	ended, watched := make(chan struct{}), make(chan struct{})
	for len(signals) > 0 {
		<-signals // of no statement
	}
	s.conn.tasks.Go("interrupt", func(context.Context) error {
		defer close(watched)
		select {
		case <-signals:
			cancel()
		case <-ended:
		}
		return nil
	})
	err := s.run(ctx, text)
	close(ended)
	<-watched
	cancel()
	return err
}
