package cloudtest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/certs/certstest"
	"broadsheet.dev/broadsheet/internal/testenv"
)

// AzureAccount and its key are those that Azurite is born with.
const (
	AzureAccount = "devstoreaccount1"
	azureKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Azure starts Azurite.
func Azure(t *testing.T) *Server {
	t.Helper()
	program := testenv.Tool(t, "azurite-blob")
	testenv.Program(t, "node")
	address := freeAddress(t)
	start(t, address, program, "--blobHost", "127.0.0.1", "--blobPort", port(address), "--inMemoryPersistence",
		"--skipApiVersionCheck", "--silent", "--disableTelemetry")
	keyFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(keyFile, []byte(azureKey+"\n"), 0o600))
	endpoint := "http://" + address + "/" + AzureAccount
	createContainer(t, endpoint)
	return &Server{
		Entry: store.Entry{
			Name: "azure", URL: "azure://bucket/", Endpoint: endpoint, Addresses: loopback,
			Account: AzureAccount, AccountKeyFile: keyFile,
		},
		Secrets: []string{azureKey, azureKey[:40]},
	}
}

// createContainer of the name bucket, by the account's key.
func createContainer(t *testing.T, endpoint string) {
	t.Helper()
	credential, err := container.NewSharedKeyCredential(AzureAccount, azureKey)
	require.NoError(t, err)
	c, err := container.NewClientWithSharedKeyCredential(endpoint+"/bucket", credential, nil)
	require.NoError(t, err)
	_, err = c.Create(t.Context(), nil)
	require.NoError(t, err)
}

// Secrets of the application that azure-ad stores are used as.
const (
	azureClient       = "8f0d0c3e-1111-2222-3333-444455556666"
	azureClientSecret = "planted-secret-of-azure-ad"
	azureTenant       = "contoso"
)

// AzureAD starts Azurite as a service that knows its users by tokens, and an authority that hands those out:
// AZURE_AUTHORITY_HOST names it for as long as the test runs. (Azurite asks for TLS with tokens, and gets it from a
// proxy before it; it looks at all of a token but who has signed it.)
func AzureAD(t *testing.T) *Server {
	t.Helper()
	program := testenv.Tool(t, "azurite-blob")
	testenv.Program(t, "node")
	authority := certstest.New(t, "azurite")
	files := authority.Issue("azurite", certs.Files{})
	address := freeAddress(t)
	start(t, address, program, "--blobHost", "127.0.0.1", "--blobPort", port(address), "--inMemoryPersistence",
		"--skipApiVersionCheck", "--silent", "--disableTelemetry", "--oauth", "basic", "--cert", files.Cert, "--key", files.Key)
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(authority.File)
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(ca))
	proxy := newProxy(t, "https://"+address, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	endpoint := proxy.URL + "/" + AzureAccount
	createContainer(t, endpoint)
	token := azureToken(t)
	t.Setenv("AZURE_AUTHORITY_HOST", azureAuthority(t, token).URL)
	secretFile := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secretFile, []byte(azureClientSecret+"\n"), 0o600))
	return &Server{
		Entry: store.Entry{
			Name: "azure-ad", URL: "azure-ad://" + azureTenant + "/" + AzureAccount + "/bucket/", Endpoint: endpoint, Addresses: loopback,
			ClientID: azureClient, ClientSecretFile: secretFile,
		},
		Secrets: []string{azureClientSecret, token},
	}
}

// azureAuthority hands out a token to who shows the application's secret.
func azureAuthority(t *testing.T, token string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for field, want := range map[string]string{
			"grant_type": "client_credentials", "client_id": azureClient, "client_secret": azureClientSecret,
			"scope": "https://storage.azure.com/.default",
		} {
			if r.URL.Path != "/"+azureTenant+"/oauth2/v2.0/token" || r.PostFormValue(field) != want {
				http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
				return
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "access_token": token, "expires_in": 3600})
	}))
	t.Cleanup(server.Close)
	return server
}

// azureToken is one as Azure makes them, for the application.
func azureToken(t *testing.T) string {
	t.Helper()
	now := time.Now()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/" + azureTenant + "/",
		"iat": now.Add(-time.Minute).Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
		"oid": "11059fcc-5514-4800-b5f8-49808b9cfab6", "tid": "ab1f708d-50f6-404c-a006-d71b2ac7a606",
	}).SignedString([]byte("nobody looks at the signature"))
	require.NoError(t, err)
	return text
}
