package sql

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// script is a stream of statements, with the data of a COPY behind it.
type script struct {
	in     io.Reader
	split  splitter
	buffer []byte
	ended  bool
	prompt func(begun bool) // before each read; or nil
}

func newScript(in io.Reader) *script { return &script{in: in, buffer: make([]byte, 64<<10)} }

// next statement. The error is io.EOF behind the last.
func (s *script) next() (string, error) {
	for {
		if quit, err := s.command(); quit || err != nil {
			return "", err
		}
		text, ok := s.split.next()
		if !ok && s.ended {
			if text = s.split.rest(); text == "" {
				return "", io.EOF
			}
			return text, nil
		}
		if !ok {
			if err := s.read(); err != nil {
				return "", err
			}
			continue
		}
		if !isBlank(text) {
			return text, nil
		}
	}
}

// command obeys one of psql's that stands where a statement may begin: \q alone, which ends: it reports so. Others are
// dropped, with an error.
func (s *script) command() (bool, error) {
	rest := bytes.TrimLeft(s.split.text, " \t\r\n")
	if len(rest) == 0 || rest[0] != '\\' || s.split.at > len(s.split.text)-len(rest) {
		return false, nil
	}
	n := bytes.IndexByte(rest, '\n') + 1
	if n == 0 && !s.ended {
		return false, s.read()
	}
	if n == 0 {
		n = len(rest)
	}
	s.split.text, s.split.at = rest[n:], 0
	if name := string(bytes.TrimSpace(rest[:n])); name != `\q` {
		return false, &commandError{name}
	}
	return true, io.EOF
}

// commandError is of a command of psql's.
type commandError struct{ name string }

// Error names it.
func (e *commandError) Error() string {
	return fmt.Sprintf("sql: %s is a command of psql", shown(e.name))
}

// hint is what there is instead.
func (e *commandError) hint() string {
	return `this client has \q only: SHOW TABLES lists tables, and 'broadsheet tables describe NAME' tells their columns`
}

// read more of the text.
func (s *script) read() error {
	if s.prompt != nil {
		s.prompt(!s.split.empty())
	}
	n, err := s.in.Read(s.buffer)
	s.split.add(s.buffer[:n])
	if s.ended = errors.Is(err, io.EOF); s.ended {
		return nil
	}
	return err
}

// data of a COPY: the lines behind the one with its statement, up to a line of \. or the end.
func (s *script) data() func() ([]byte, error) {
	first := true
	return func() ([]byte, error) {
		for {
			line, err := s.line()
			if end := string(bytes.TrimRight(line, "\r\n")) == `\.`; end && !first {
				return nil, io.EOF
			}
			if !first || err != nil {
				return line, err
			}
			first = false // It is what stands behind the statement.
		}
	}
}

// line is the next one. Behind the last is io.EOF, which may come with it.
func (s *script) line() ([]byte, error) {
	for {
		line, ok := s.split.line()
		if ok {
			return line, nil
		}
		if s.ended {
			line, s.split.text = s.split.text, nil
			return line, io.EOF
		}
		if err := s.read(); err != nil {
			return nil, err
		}
	}
}
