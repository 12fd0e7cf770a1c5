// Package attach is the command attach-uuids: it gives each line of its input a UUID,
// so that a file that is appended again, after its outcome was lost, is read once.
package attach

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/message"
)

const defaultTemplate = "{{.UUID}},{{.Line}}\n"

// config of the command.
type config struct {
	template   string
	maxLength  int
	skipHeader bool

	producer message.Producer
	now      func() time.Time
}

// Command is attach-uuids.
func Command() *cobra.Command {
	c := config{now: time.Now}
	cmd := &cobra.Command{
		Use:   "attach-uuids [FILE...]",
		Short: "Give each line of files, or of standard input, a UUID",
		Long: `Give each line of files, or of standard input, a UUID by which readers of a journal tell a line that was
appended twice. One run is one producer, whose clocks ascend; lines are outside of transactions.

The template is one of Go, with .UUID and .Line, which is the line without its line feed. \n, \t and \\ in
it stand for what they do in Go.`,
		Example: `  broadsheet attach-uuids --skip-header rides.csv | broadsheet journals append -l name=acme/rides --framing lines`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.producer = message.NewProducer()
			return c.run(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	p := cmd.Flags()
	p.StringVar(&c.template, "template", defaultTemplate, "template of a line of the output")
	p.IntVar(&c.maxLength, "max-length", 4<<20, "most bytes of a line of the input")
	p.BoolVar(&c.skipHeader, "skip-header", false, "leave the first line of each input out")
	settings.Bind(cmd)
	return cmd
}

func (c *config) run(ctx context.Context, files []string, stdin io.Reader, stdout io.Writer) error {
	t, err := template.New("template").Parse(strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`).Replace(c.template))
	if err != nil {
		return speech.WithHint(fmt.Errorf("--template: %w", err), "write it as '{{.UUID}},{{.Line}}\\n'")
	}
	if c.maxLength < 1 {
		return fmt.Errorf("--max-length: %d isn't a length of lines", c.maxLength)
	}
	w := bufio.NewWriterSize(stdout, 64<<10)
	a := attacher{config: c, template: t, out: w}
	if len(files) == 0 {
		if err = a.lines(ctx, "standard input", stdin); err != nil {
			return errors.Join(err, w.Flush())
		}
	}
	for _, name := range files {
		if err := a.file(ctx, name); err != nil {
			return errors.Join(err, w.Flush())
		}
	}
	return w.Flush()
}

// attacher is one run.
type attacher struct {
	*config
	template *template.Template
	ticker   message.Ticker
	out      *bufio.Writer
}

func (a *attacher) file(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return a.lines(ctx, name, f)
}

func (a *attacher) lines(ctx context.Context, name string, in io.Reader) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ctx.Err() == nil; n++ {
		line, err := message.Lines.ReadFrame(r, a.maxLength)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return speech.WithHint(fmt.Errorf("%s:%d: line has no end", name, n), "it may have been cut off; if it is whole, end it with a line feed")
		case err != nil:
			if tooLarge, ok := errors.AsType[*message.TooLargeError](err); ok {
				return speech.WithHint(fmt.Errorf("%s:%d: line has more than %d bytes", name, n, tooLarge.Most), "allow longer ones with --max-length")
			}
			return fmt.Errorf("%s:%d: %w", name, n, err)
		case n == 1 && a.skipHeader:
			continue
		}
		if err := a.line(string(message.Lines.Message(line))); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if r.Buffered() == 0 { // the next line may be long in coming
			if err := a.out.Flush(); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

func (a *attacher) line(line string) error {
	a.ticker.Update(a.now())
	return a.template.Execute(a.out, struct {
		UUID message.UUID
		Line string
	}{message.NewUUID(a.producer, a.ticker.Tick(), message.OutsideTxn), line})
}
