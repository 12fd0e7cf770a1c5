package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// TestPipelineScenarios plays testdata/pipeline: which groups of a pipeline are on their way, and who ends with it. The
// input of "pipeline" has one event a line; its output is what came of each.
//
//	send GROUP [run]   a group, with an append of a run
//	settle             the first that isn't settled, if there is one
//	settle GROUP       as who had it in hand when the pipeline failed
//	fail REASON
func TestPipelineScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/pipeline", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			require.Equal(t, "pipeline", d.Cmd, d.Pos)
			ctx, cancel := context.WithCancel(t.Context())
			s := pipelineScenario{names: make(map[*sentGroup]string), groups: make(map[string]*sentGroup)}
			s.pipeline = newPipeline(protocol.EmptyRoute(), epoch.Epoch{Number: 1}, []*peer{{cancel: cancel}})
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				line = strings.TrimSpace(line)
				fmt.Fprintf(&out, "%s: %s", line, s.event(line))
				if ctx.Err() != nil {
					out.WriteString("; streams are cut")
				}
				out.WriteString("\n")
			}
			cancel()
			return out.String()
		})
	})
}

type pipelineScenario struct {
	pipeline *pipeline
	names    map[*sentGroup]string
	groups   map[string]*sentGroup
}

func (s *pipelineScenario) event(line string) string {
	p, words := s.pipeline, strings.Fields(line)
	switch words[0] {
	case "send":
		g := &sentGroup{group: newGroup(headView{})}
		if len(words) > 2 {
			g.tickets = []*ticket{{run: new(run)}}
		}
		s.names[g], s.groups[words[1]] = words[1], g
		if !p.enqueue(g) {
			return "refused: " + p.failure().Error()
		}
	case "settle":
		g := p.next()
		if len(words) > 1 {
			g = s.groups[words[1]]
		}
		if g == nil {
			return "nothing is on its way"
		}
		if !p.settled(g) {
			return s.names[g] + " isn't there"
		}
		return s.names[g] + s.rest()
	case "fail":
		ended := []string{}
		for _, g := range p.fail(errors.New(words[1])) {
			name := s.names[g]
			if len(g.tickets) > 0 && g.tickets[0].run.failed.Load() {
				name += " with its run"
			}
			ended = append(ended, name)
		}
		return fmt.Sprintf("ends %v, for %s", ended, p.failure())
	}
	return "sent" + s.rest()
}

func (s *pipelineScenario) rest() string {
	if s.pipeline.idle() {
		return "; idle"
	}
	return "; next is " + s.names[s.pipeline.next()]
}

// brokenStream can't be sent to, and tells why once it is let.
type brokenStream struct {
	replicateStream
	entered chan struct{} // has one for each that receives
	let     chan struct{}
}

func (s *brokenStream) SendMsg(any) error { return io.EOF }

func (s *brokenStream) Recv() (*protocol.ReplicateResponse, error) {
	s.entered <- struct{}{}
	<-s.let
	return nil, status.Error(codes.Internal, "it fell over")
}

// TestOneReceivesFromAPeer: while somebody settles, and so receives, who can't send doesn't receive as well to find out
// why: gRPC would leave one of the two there for ever, with the tenure in hand.
func TestOneReceivesFromAPeer(t *testing.T) {
	s := &brokenStream{entered: make(chan struct{}, 2), let: make(chan struct{})}
	p := newPipeline(protocol.EmptyRoute(), epoch.Epoch{Number: 1}, []*peer{{id: resolveID("peer"), stream: s, cancel: func() {}}})
	g := task.New(t.Context(), "settle")
	g.Go("receive", func(context.Context) error {
		p.settling <- struct{}{}
		defer func() { <-p.settling }()
		return p.receive()
	})
	<-s.entered
	require.ErrorContains(t, p.send(new(protocol.ReplicateRequest), nil), "replicate to broker zone#peer: its stream has ended")
	require.Empty(t, s.entered)
	close(s.let)
	require.ErrorContains(t, g.Wait(), "replicate to broker zone#peer: it fell over")
	require.ErrorContains(t, p.send(new(protocol.ReplicateRequest), nil), "replicate to broker zone#peer: it fell over", "nobody receives now")
}
