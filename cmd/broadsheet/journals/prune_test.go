package journals_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// bucket answers what pruning asks of an S3 store that has every object, and keeps what it was asked.
type bucket struct {
	mu    sync.Mutex
	asked []string
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name, _, _ := strings.Cut(r.URL.Path, "-")
	b.asked = append(b.asked, r.Method+" "+name)
	switch r.Method {
	case http.MethodHead:
		w.Header().Set("Content-Length", "10")
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.Header().Set("ETag", `"1"`)
	case http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotImplemented)
	}
}

// takeAsked returns what it was asked since the last time.
func (b *bucket) takeAsked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.asked
	b.asked = nil
	return out
}

// TestPruneReachesBuckets, with the file of stores that brokers are given.
func TestPruneReachesBuckets(t *testing.T) {
	fake, b, dir := startFake(t), new(bucket), t.TempDir()
	server := httptest.NewServer(b)
	defer server.Close()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file("credentials", "[test]\naws_access_key_id = test\naws_secret_access_key = secret\n"))
	t.Setenv("AWS_CONFIG_FILE", file("config", "[profile test]\n"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	stores := file("stores.yaml", fmt.Sprintf(`stores:
  - {name: attic, url: "s3://attic/", endpoint: %q, addresses: [127.0.0.0/8], region: us-east-1, profile: test}
`, server.URL))
	specs := file("specs.yaml", `
name: pb/stored
replication: 1
labels: [{name: does, value: stored}]
fragment: {length: 1024, compression_codec: NONE, refresh_interval: 1h, retention: 1s, stores: ["s3://attic/"]}
`)
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := root()
		cmd.SetArgs(append([]string{"journals", "--broker.address", fake.endpoint}, args...))
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	_, err := run("apply", "--specs", specs)
	require.NoError(t, err)

	_, err = run("prune", "-l", "name=pb/stored")
	require.ErrorContains(t, err, "s3://attic/")
	require.Empty(t, b.takeAsked())

	out, err := run("prune", "-l", "name=pb/stored", "--stores", stores, "--dry-run")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^pb/stored +2 +20 +0$`, out)
	object := "/attic/pb/stored/000000000000000"
	require.Equal(t, []string{"HEAD " + object + "0", "HEAD " + object + "a"}, b.takeAsked())

	out, err = run("prune", "-l", "name=pb/stored", "--stores", stores)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^pb/stored +2 +20 +0$`, out)
	require.Subset(t, b.takeAsked(), []string{"DELETE " + object + "0", "DELETE " + object + "a"})
}
