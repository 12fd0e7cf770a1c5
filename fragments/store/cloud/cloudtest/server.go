package cloudtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/internal/testenv"
)

// s3Secret is one that no error and no log may tell.
const s3Secret = "planted-secret-of-s3"

// Server is an object store with one bucket.
type Server struct {
	// Entry allows the stores of the bucket. Its endpoint is the server.
	Entry store.Entry
	// Dir has the objects as files, if the server keeps them so.
	Dir string
	// Secrets that may be told nowhere.
	Secrets []string
}

// loopback are the addresses of this machine.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// Via is the entry with another endpoint, which stands before the server.
func (s *Server) Via(endpoint string) store.Entry {
	e := s.Entry
	_, path, _ := strings.Cut(strings.TrimPrefix(e.Endpoint, "http://"), "/")
	e.Endpoint = strings.TrimSuffix(endpoint+"/"+path, "/")
	return e
}

// S3 starts versitygw. The credentials are those of the profile "test" of the AWS
// configuration of this process, for as long as the test runs.
func S3(t *testing.T) *Server {
	t.Helper()
	program := testenv.Tool(t, "versitygw")
	dir := t.TempDir()
	bucket := filepath.Join(dir, "data", "bucket")
	require.NoError(t, os.MkdirAll(bucket, 0o700))
	credentials, config := filepath.Join(dir, "credentials"), filepath.Join(dir, "config")
	require.NoError(t, os.WriteFile(credentials,
		[]byte("[test]\naws_access_key_id = test\naws_secret_access_key = "+s3Secret+"\n"), 0o600))
	require.NoError(t, os.WriteFile(config, []byte("[profile test]\n"), 0o600))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", credentials)
	t.Setenv("AWS_CONFIG_FILE", config)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	address := freeAddress(t)
	start(t, address, program, "--access", "test", "--secret", s3Secret, "--port", address, "--quiet",
		"posix", filepath.Join(dir, "data"))
	return &Server{
		Entry: store.Entry{
			Name: "s3", URL: "s3://bucket/", Endpoint: "http://" + address, Addresses: loopback,
			Region: "us-east-1", Profile: "test",
		},
		Dir:     bucket,
		Secrets: []string{s3Secret},
	}
}

// GCS starts fake-gcs-server, and a server that hands out tokens for the key of a
// service account. (The fake asks for no token.)
func GCS(t *testing.T) *Server {
	t.Helper()
	program := testenv.Tool(t, "fake-gcs-server")
	address := freeAddress(t)
	start(t, address, program, "-scheme", "http", "-host", "127.0.0.1", "-port", port(address),
		"-backend", "memory", "-public-host", address, "-external-url", "http://"+address, "-log-level", "error")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/storage/v1/b?project=p",
		strings.NewReader(`{"name": "bucket"}`))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	return &Server{
		Entry: store.Entry{
			Name: "gcs", URL: "gs://bucket/", Endpoint: "http://" + address, Addresses: loopback,
			CredentialsFile: ServiceAccount(t, tokenServer(t)),
		},
		Secrets: []string{gcsToken},
	}
}

// gcsToken is what a service account is known by.
const gcsToken = "planted-token-of-gcs"

// tokenServer hands out the token for a claim.
func tokenServer(t *testing.T) string {
	t.Helper()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || r.FormValue("assertion") == "" {
			http.Error(w, "no claim", http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": gcsToken, "expires_in": 3600})
	}))
	t.Cleanup(tokens.Close)
	return tokens.URL
}

// ServiceAccount is a file with the key of one, whose tokens are to be had at a URL.
func ServiceAccount(t *testing.T, tokenURI string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "test@project.iam.gserviceaccount.com", "private_key_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": tokenURI,
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

// freeAddress is one of loopback that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	ports, err := testenv.FreePorts(1)
	require.NoError(t, err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}

// startTime is what a server may take until it answers; Azurite takes its time.
const startTime = time.Minute

// start runs a server until the test ends, and returns when it answers.
func start(t *testing.T, address, program string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Dir = t.TempDir()
	require.NoError(t, cmd.Start())
	exited := make(chan struct{})
	group := task.New(context.WithoutCancel(t.Context()), "server")
	group.Go("wait", func(context.Context) error {
		defer close(exited)
		_ = cmd.Wait() // It was killed, most likely.
		return nil
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = group.Wait()
	})
	deadline, ticks := time.After(startTime), time.NewTicker(20*time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-exited:
			t.Fatalf("%s ended: %s", program, output.String())
		case <-deadline:
			t.Fatalf("%s doesn't answer at %s", program, address)
		case <-ticks.C:
		}
		if c, err := net.Dial("tcp", address); err == nil {
			require.NoError(t, c.Close())
			return
		}
	}
}
