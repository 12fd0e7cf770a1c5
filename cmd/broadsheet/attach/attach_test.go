package attach

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/message"
)

// TestLines, of files with headers: `broadsheet attach-uuids --skip-header --template ... --max-length 20`.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	require.NoError(t, os.WriteFile(one, []byte("header\nfirst\n\n"), 0o600))
	require.NoError(t, os.WriteFile(two, []byte("header\nsecond\n"), 0o600))
	c := config{
		template: `{{.Line}}\t{{.UUID}}\\\n`, maxLength: 20, skipHeader: true,
		producer: message.Producer{1, 2, 3, 4, 5, 6}, now: func() time.Time { return time.Unix(0, 0) },
	}
	var out strings.Builder
	require.NoError(t, c.run(t.Context(), []string{one, two}, nil, &out))
	require.Equal(t, "first\t1381400a-1dd2-11b2-8000-010203040506\\\n"+
		"\t13814014-1dd2-11b2-8000-010203040506\\\n"+
		"second\t1381401e-1dd2-11b2-8000-010203040506\\\n", out.String())
}

func TestDefaultTemplate(t *testing.T) {
	c := config{template: defaultTemplate, maxLength: 1 << 20, producer: message.NewProducer(), now: time.Now}
	var out strings.Builder
	require.NoError(t, c.run(t.Context(), nil, iotest.OneByteReader(strings.NewReader("a,b\nc,d\n")), &out))
	var last message.UUID
	for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		text, rest, _ := strings.Cut(line, ",")
		u, err := message.ParseUUID(text)
		require.NoError(t, err)
		require.Equal(t, []string{"a,b", "c,d"}[i], rest)
		require.Equal(t, message.OutsideTxn, u.Flags())
		require.Equal(t, c.producer, u.Producer())
		require.Greater(t, u.Clock(), last.Clock())
		require.InDelta(t, time.Now().Unix(), u.Clock().Time().Unix(), 60)
		last = u
	}
}

func TestMistakes(t *testing.T) {
	run := func(change func(*config), in string) error {
		c := config{template: defaultTemplate, maxLength: 10, now: time.Now}
		change(&c)
		return c.run(t.Context(), nil, strings.NewReader(in), &strings.Builder{})
	}
	require.ErrorContains(t, run(func(c *config) { c.template = "{{" }, ""), "--template: ")
	require.ErrorContains(t, run(func(c *config) { c.template = "{{.Colour}}" }, "x\n"), "standard input:1: ")
	require.ErrorContains(t, run(func(c *config) { c.maxLength = 0 }, ""), "--max-length: 0")
	require.EqualError(t, run(func(*config) {}, "one\ntorn"), "standard input:2: line has no end")
	require.EqualError(t, run(func(*config) {}, "one\nmuch too long\n"), "standard input:2: line has more than 10 bytes")
	c := config{template: defaultTemplate, maxLength: 10, now: time.Now}
	require.ErrorIs(t, c.run(t.Context(), []string{"nowhere"}, nil, &strings.Builder{}), os.ErrNotExist)
	broken := errors.New("broken")
	require.ErrorIs(t, c.run(t.Context(), nil, iotest.ErrReader(broken), &strings.Builder{}), broken)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.run(ctx, nil, strings.NewReader("x\n"), &strings.Builder{}), context.Canceled)
}
