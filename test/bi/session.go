package bi

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Session is a tool's connection to a server, at the level of messages.
type Session struct {
	conn  net.Conn
	front *pgproto3.Frontend
	// status of the transaction after the last statement.
	status byte
}

// Open a session as a user that the server trusts, with further parameters of the startup message.
func Open(ctx context.Context, server, user string, params map[string]string) (*Session, error) {
	at, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return nil, err
	}
	s := &Session{conn: conn, front: pgproto3.NewFrontend(conn, conn)}
	all := map[string]string{"user": user, "database": strings.TrimPrefix(at.Path, "/")}
	maps.Copy(all, params)
	s.front.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: all})
	var a Answer
	if err := s.receive(&a); err != nil {
		return nil, err
	}
	if len(a.Parts) > 0 {
		_ = conn.Close()
		return nil, fmt.Errorf("startup: %s", a.Parts[0].Error)
	}
	return s, nil
}

// Close the session.
func (s *Session) Close() error {
	s.front.Send(&pgproto3.Terminate{})
	_ = s.front.Flush()
	return s.conn.Close()
}

// Statement is what a tool sends.
type Statement struct {
	SQL    string
	Simple bool
	// Binary: values of results are asked for in binary, if the statement isn't simple.
	Binary bool
	// Args are the parameters, as text; nil is NULL.
	Args []*string
	// Max is how many rows are asked for of the portal; 0 is all.
	Max uint32
}

// Run sends a statement and takes its answer.
func (s *Session) Run(st Statement) (*Answer, error) {
	if st.Simple {
		s.front.Send(&pgproto3.Query{String: st.SQL})
	} else {
		bind := &pgproto3.Bind{}
		for _, a := range st.Args {
			var value []byte
			if a != nil {
				value = []byte(*a)
			}
			bind.Parameters = append(bind.Parameters, value)
		}
		if st.Binary {
			bind.ResultFormatCodes = []int16{1}
		}
		s.front.Send(&pgproto3.Parse{Query: st.SQL})
		s.front.Send(&pgproto3.Describe{ObjectType: 'S'})
		s.front.Send(bind)
		s.front.Send(&pgproto3.Describe{ObjectType: 'P'})
		s.front.Send(&pgproto3.Execute{MaxRows: st.Max})
		s.front.Send(&pgproto3.Sync{})
	}
	a := &Answer{}
	return a, s.receive(a)
}

// receive messages up to ReadyForQuery.
func (s *Session) receive(a *Answer) error {
	if err := s.front.Flush(); err != nil {
		return err
	}
	p := &Part{}
	for {
		m, err := s.front.Receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.ParameterDescription:
			a.Params = append([]uint32{}, m.ParameterOIDs...)
		case *pgproto3.RowDescription:
			p.columns(m)
		case *pgproto3.DataRow:
			p.row(m)
		case *pgproto3.CommandComplete:
			p.Tag = string(m.CommandTag)
			a.Parts, p = append(a.Parts, p), &Part{}
		case *pgproto3.EmptyQueryResponse:
			p.Tag = "no statement"
			a.Parts, p = append(a.Parts, p), &Part{}
		case *pgproto3.PortalSuspended:
			p.Tag = "suspended"
			a.Parts, p = append(a.Parts, p), &Part{}
		case *pgproto3.ErrorResponse:
			p.Error, p.message = m.Code, m.Message
			a.Parts, p = append(a.Parts, p), &Part{}
		case *pgproto3.ReadyForQuery:
			a.Status, s.status = m.TxStatus, m.TxStatus
			return nil
		}
	}
}

var place = regexp.MustCompile(`\{('[^}]+)\}`)

// Places replaces each {expression} of a text with the OID that it is on a server. Expressions begin with a quote.
func Places(ctx context.Context, conn *pgx.Conn, text string) (string, error) {
	var failed error
	out := place.ReplaceAllStringFunc(text, func(p string) string {
		var oid string
		if err := conn.QueryRow(ctx, "SELECT ("+p[1:len(p)-1]+")::oid::text").Scan(&oid); err != nil {
			failed = fmt.Errorf("%s: %w", p, err)
		}
		return oid
	})
	return out, failed
}
