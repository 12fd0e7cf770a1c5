package client

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
)

func TestEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{
		"unix:///run/b.sock":      "unix:///run/b.sock",
		"unix://host/run/b.sock":  "unix:///run/b.sock",
		"http://host:8080":        "dns:///host:8080",
		"http://127.0.0.1:8080/":  "dns:///127.0.0.1:8080",
		"http://[::1]:8080":       "dns:///[::1]:8080",
		"http://localhost:8080/?": "dns:///localhost:8080",
	} {
		got, err := parseEndpoint(endpoint)
		require.NoError(t, err)
		require.Equal(t, want, got.grpc)
	}
	for endpoint, want := range map[string]string{
		"":                            `scheme ""`,
		"host:8080":                   `scheme "host" isn't supported`,
		"http://host":                 "must name a host and a port",
		"http://:8080":                "must name a host and a port",
		"http://host:8080/path":       "has a path",
		"http://user:secret@host:808": "http://user:xxxxx@host:808",
		"http://host:8080/?a=b":       "has more than",
		"unix://":                     "names no socket",
		"unix://host/":                "names no socket",
		"http://%zz":                  "isn't a URL",
	} {
		_, err := Dial(t.Context(), Config{Endpoint: endpoint})
		require.ErrorContains(t, err, want, endpoint)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := Dial(t.Context(), Config{Endpoint: "http://host:80", Keepalive: -1})
	require.ErrorContains(t, err, "keepalive")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Dial(ctx, Config{Endpoint: "http://host:80"})
	require.ErrorIs(t, err, context.Canceled)
}

func TestDialDoesNotWaitForABroker(t *testing.T) {
	c, err := Dial(t.Context(), Config{Endpoint: "unix:///does/not/exist"})
	require.NoError(t, err)
	_, err = c.List(t.Context(), nil)
	require.ErrorContains(t, err, "Unavailable")
	require.NoError(t, c.Close())
	require.Error(t, c.Close())
	_, err = c.List(t.Context(), nil)
	require.Error(t, err)
}

func TestPausesDoubleUpToALimitAndEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for attempt, limit := range []time.Duration{20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000} {
			limit *= time.Millisecond
			start := time.Now()
			require.NoError(t, pause(t.Context(), attempt))
			require.GreaterOrEqual(t, time.Since(start), limit/2)
			require.Less(t, time.Since(start), limit)
		}
		start := time.Now()
		require.NoError(t, pause(t.Context(), 1000000))
		require.Less(t, time.Since(start), maxPause)

		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("stop")
		cancel(cause)
		require.Equal(t, cause, pause(ctx, 100))
	})
}

func TestLastingRefusalIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	c := &Client{
		log:   slog.New(slog.NewTextHandler(&log, nil)),
		pause: func(context.Context, int) error { return nil },
	}
	refusal := &protocol.StatusError{Status: protocol.Status_NO_JOURNAL_PRIMARY_BROKER, Journal: "a/journal"}
	for attempt := range 20 {
		require.NoError(t, c.await(t.Context(), attempt, "append", "a/journal", refusal))
	}
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("\n")))
	require.Contains(t, log.String(), `operation=append journal=a/journal error="a/journal: NO_JOURNAL_PRIMARY_BROKER"`)
}

func TestAppendWhoseContextEndsAfterItsCommitIsUnknown(t *testing.T) {
	s := newScene(t)
	s.server.load("rpc Append\nrecv journal: \"a/journal\"\nrecv\nrecv gone")
	s.server.advance()
	cause := errors.New("statement canceled")
	ctx, cancel := context.WithCancelCause(t.Context())
	a, err := s.client.NewAppender(ctx, AppendParams{Journal: "a/journal"})
	require.NoError(t, err)
	committed := make(chan error, 1)
	go func() {
		_, err := a.Commit()
		committed <- err
	}()
	s.server.awaitSteps(3)
	cancel(cause)
	err = <-committed
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.ErrorIs(t, err, cause)
	require.EqualError(t, err, "append to a/journal: outcome unknown: statement canceled")
	require.Empty(t, s.server.settle())
}

func TestAppendWhoseContextEndsBeforeItsCommitIsNotApplied(t *testing.T) {
	s := newScene(t)
	s.server.load("rpc Append\nrecv journal: \"a/journal\"\nrecv gone")
	s.server.advance()
	ctx, cancel := context.WithCancel(t.Context())
	a, err := s.client.NewAppender(ctx, AppendParams{Journal: "a/journal"})
	require.NoError(t, err)
	s.server.awaitSteps(2)
	cancel()
	for err == nil {
		_, err = a.Write(make([]byte, minChunk))
	}
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrUnknownOutcome)
	_, err = a.Commit()
	require.ErrorIs(t, err, context.Canceled)
	a.Abort()
	require.Empty(t, s.server.settle())
}
