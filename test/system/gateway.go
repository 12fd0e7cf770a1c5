package system

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Gateway is another SQL gateway beside a server's own.
type Gateway struct {
	SQL string // its address
	cmd *exec.Cmd
}

// StartGateway starts another gateway over the journals and tables of a server, with the arguments of the
// server's own, but for its address, and a directory of its own.
func (s *Server) StartGateway(dir string) (*Gateway, error) {
	pid, err := s.GatewayPID()
	if err != nil {
		return nil, err
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &Gateway{SQL: ln.Addr().String()}
	if err := ln.Close(); err != nil {
		return nil, err
	}
	args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	for name, value := range map[string]string{"--sql-listen": g.SQL, "--temp-dir": dir, "--views.listen": ""} {
		args = append(args, name+"="+value) // the last one counts
	}
	g.cmd = exec.Command(args[0], args[1:]...)
	g.cmd.Stderr = s.log
	return g, g.cmd.Start()
}

// Connect opens a Postgres connection, and tries again until the gateway serves.
func (g *Gateway) Connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, "postgres://postgres@"+g.SQL+"/postgres?sslmode=disable")
		if err == nil {
			return conn, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// PID of the gateway.
func (g *Gateway) PID() int { return g.cmd.Process.Pid }

// Kill ends the gateway by SIGKILL and waits until it is gone.
func (g *Gateway) Kill() {
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait()
}
