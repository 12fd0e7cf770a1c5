package pgwire

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// TestNotificationsAreNeitherLostNorMixed: sessions notify each other while they run queries, open
// transactions and rest. Each hears everything once, and each sender in its order.
func TestNotificationsAreNeitherLostNorMixed(t *testing.T) {
	const clients, each = 4, 60
	s := startTCP(t, Config{})
	listening := make(chan struct{}, clients)
	begin := make(chan struct{})
	g, ctx := errgroup.WithContext(t.Context())
	for i := range clients {
		g.Go(func() error {
			heard := map[string][]int{}
			conn, err := connectHearing(ctx, s, heard)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			if _, err := conn.Exec(ctx, "listen x").ReadAll(); err != nil {
				return err
			}
			listening <- struct{}{}
			<-begin
			for n := range each {
				say := fmt.Sprintf("notify x, '%d %d'", i, n)
				if n%3 == 0 {
					say = "begin;select 1;" + say + ";commit"
				}
				if _, err := conn.Exec(ctx, say).ReadAll(); err != nil {
					return err
				}
			}
			return hearAll(ctx, conn, heard, clients, each)
		})
	}
	for range clients {
		select {
		case <-listening:
		case <-ctx.Done():
		}
	}
	close(begin)
	require.NoError(t, g.Wait())
}

// connectHearing notes what the connection hears: numbers, by who sent them.
func connectHearing(ctx context.Context, s *testServer, heard map[string][]int) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig("postgres://postgres@" + s.address().String() + "/postgres?sslmode=disable")
	if err != nil {
		return nil, err
	}
	cfg.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) {
		who, number, _ := strings.Cut(n.Payload, " ")
		k, _ := strconv.Atoi(number)
		heard[who] = append(heard[who], k)
	}
	return pgconn.ConnectConfig(ctx, cfg)
}

// hearAll rests until everything was heard.
func hearAll(ctx context.Context, conn *pgconn.PgConn, heard map[string][]int, clients, each int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	missing := func() int {
		n := clients * each
		for _, list := range heard {
			n -= len(list)
		}
		return n
	}
	for missing() > 0 {
		if err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("%d of %d are missing: %w", missing(), clients*each, err)
		}
	}
	for who, list := range heard {
		if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != each {
			return fmt.Errorf("of %s was heard: %v", who, list)
		}
	}
	return nil
}

// TestLine: who has a session's line ends its call, or the session, and no other.
func TestLine(t *testing.T) {
	s := startTCP(t, Config{})
	conn, err := connectHearing(t.Context(), s, map[string][]int{})
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	s.server.mu.Lock()
	held := line{&s.server.sessions[conn.PID()].life}
	s.server.mu.Unlock()
	held.Cancel()
	_, err = conn.Exec(t.Context(), "select 1").ReadAll()
	require.NoError(t, err, "what comes later isn't cancelled")
	held.End(&Error{Severity: "FATAL", Code: "57P01", Message: "out"})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var told *pgconn.PgError
	require.ErrorAs(t, conn.WaitForNotification(ctx), &told)
	require.Equal(t, "57P01", told.Code)
	require.Eventually(t, func() bool {
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		return len(s.server.sessions) == 0
	}, patience, time.Millisecond)
	held.Cancel()
	held.Wake()
	held.End(errShutdown)
}
