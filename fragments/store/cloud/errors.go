package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"broadsheet.dev/broadsheet/fragments/store"
)

// answer is what the last request of an operation was answered. It is what errors are
// told apart by: the libraries have types of their own, and texts that quote requests.
type answer struct {
	mu     sync.Mutex
	status int // Zero if there was none.
	code   string
	err    error // Why there was none.
}

func (a *answer) note(r *http.Response, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status, a.code, a.err = 0, "", err
	if r != nil {
		a.status, a.code = r.StatusCode, r.Header.Get("X-Ms-Error-Code")
	}
}

// of is the answer that err is about: its status and code, or why there was none, which
// the libraries don't tell when they gave up trying again.
func (a *answer) of(err error) (int, string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	status, code, unsent := a.status, a.code, a.err
	var coded interface{ ErrorCode() string }
	if code == "" && errors.As(err, &coded) {
		code = coded.ErrorCode()
	}
	return status, cleanCode(code), unsent
}

// cleanCode is a code as providers have them. What a server may have made of a request
// of ours isn't one.
func cleanCode(code string) string {
	if len(code) > 64 || strings.ContainsFunc(code, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
	}) {
		return ""
	}
	return code
}

// errConflict is that another writer was at the same object: that it exists now is
// likely, but not certain.
var errConflict = fmt.Errorf("%w: another writer was at work", store.ErrBusy)

// scope tells whether an operation is about an object, or about what its bucket
// holds, so that "not found" is about the bucket.
type scope bool

const (
	ofObject scope = false
	ofBucket scope = true
)

// explain is the error of an operation, told apart, and without what may be secret.
func (a *answer) explain(ctx context.Context, s scope, err error) error {
	var body *bodyError
	var refused *refusedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &body):
		return body
	}
	status, code, unsent := a.of(err)
	told := fmt.Sprintf("HTTP %d %s", status, code)
	switch {
	case errors.As(unsent, &refused):
		return fmt.Errorf("%w: %w", store.ErrNotAllowed, refused)
	case unsent != nil:
		told = withoutURL(unsent)
	case status == 0:
		told = withoutURL(err)
	}
	told = strings.TrimSpace(told)
	if ctx.Err() != nil {
		if status < http.StatusBadRequest && (unsent == nil || errors.Is(unsent, ctx.Err())) {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w; last answer: %s", context.Cause(ctx), told)
	}
	if kind := kindOf(status, code, s); kind != nil {
		return fmt.Errorf("%w: %s", kind, told)
	}
	if status < http.StatusBadRequest && status != 0 {
		told += ": " + withoutURL(err)
	}
	return errors.New(told)
}

// kindOf is the sentinel for an answer, nil if there is none.
func kindOf(status int, code string, s scope) error {
	switch {
	case code == "BlobAlreadyExists", status == http.StatusPreconditionFailed:
		return store.ErrExists
	case code == "NoSuchBucket", code == "ContainerNotFound", code == "AccessDenied",
		status == http.StatusForbidden, status == http.StatusUnauthorized,
		status == http.StatusNotFound && s == ofBucket:
		return store.ErrNotAllowed
	case code == "InvalidBlockList", status == http.StatusConflict:
		return errConflict
	case status == http.StatusNotFound:
		return store.ErrNotFound
	case status == 0, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout,
		status >= http.StatusInternalServerError:
		return store.ErrBusy
	default:
		return nil
	}
}

// maxText bounds what is told of an error that no answer came with.
const maxText = 300

// withoutURL is what a failure to send a request, or to understand its answer, says,
// without the request's URL, which may be signed.
func withoutURL(err error) string {
	var failed *url.Error
	for errors.As(err, &failed) {
		err = failed.Err
	}
	text := err.Error()
	if strings.Contains(text, "://") {
		text = "no answer that could be understood"
	}
	return text[:min(len(text), maxText)]
}
