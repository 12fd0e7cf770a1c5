package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	azure "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"broadsheet.dev/broadsheet/fragments/store"
)

// skew is by how much the clocks of those who sign and those who check may differ.
const skew = 5 * time.Minute

// signShared signs with the account's key.
func (a *azureContainer) signShared(_ context.Context, key string, ttl time.Duration) (string, error) {
	now := time.Now()
	begin := now.Add(-skew)
	return a.client.NewBlobClient(key).GetSASURL(sas.BlobPermissions{Read: true}, now.Add(ttl),
		&blob.GetSASURLOptions{StartTime: &begin})
}

// openAzureAD opens a container as an application of a tenant. The URL's path begins
// with the account and the container.
func openAzureAD(t store.Target, c *http.Client, config Config) (connect, string, error) {
	account, rest, ok := strings.Cut(t.Path, "/")
	name, prefix, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || account == "" || name == "" {
		return nil, "", errors.New("its path doesn't begin with an account and a container")
	}
	return func(context.Context) (service, error) {
		id := t.Entry.ClientID
		if id == "" {
			var err error
			if id, err = secret("", envClientID); err != nil {
				return nil, fmt.Errorf("client_id: %w", err)
			}
		}
		password, err := secret(t.Entry.ClientSecretFile, envClientSecret)
		if err != nil {
			return nil, fmt.Errorf("client_secret_file: %w", err)
		}
		tokens := newTokens(c, config.Authority+"/"+url.PathEscape(t.Host)+"/oauth2/v2.0/token", func(time.Time) (url.Values, error) {
			return url.Values{
				"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {password},
				"scope": {"https://storage.azure.com/.default"},
			}, nil
		})
		at, err := azureURL(t.Entry.Endpoint, account)
		if err != nil {
			return nil, err
		}
		return newDelegated(at, account, name, &http.Client{
			Transport: &bearer{next: c.Transport, token: tokens.get}, CheckRedirect: c.CheckRedirect,
		})
	}, prefix, nil
}

// newDelegated is a container whose URLs are signed with a key that the service hands
// out to whom the client's token stands for.
func newDelegated(at *url.URL, account, name string, c *http.Client) (service, error) {
	client, err := container.NewClientWithNoCredential(at.JoinPath(name).String(), azureOptions(c))
	if err != nil {
		return nil, errors.New("container: " + withoutURL(err))
	}
	// The library signs for the account that the first label of the host names, which that of an endpoint
	// needn't be.
	options := new(azure.ClientOptions)
	options.ClientOptions = azureOptions(&http.Client{Transport: &redirected{next: c.Transport, to: at}, CheckRedirect: c.CheckRedirect}).ClientOptions
	keys, err := azure.NewClientWithNoCredential("https://"+account+".invalid", options)
	if err != nil {
		return nil, errors.New("service: " + withoutURL(err))
	}
	d := &delegation{client: keys, last: make(chan delegated, 1)}
	d.last <- delegated{}
	a := &azureContainer{client: client}
	a.signer = func(ctx context.Context, key string, ttl time.Duration) (string, error) {
		credential, err := d.credential(ctx, ttl)
		if err != nil {
			return "", err
		}
		now := time.Now().UTC()
		query, err := sas.BlobSignatureValues{
			Protocol: sas.ProtocolHTTPSandHTTP, StartTime: now.Add(-skew), ExpiryTime: now.Add(ttl),
			Permissions: (&sas.BlobPermissions{Read: true}).String(), ContainerName: name, BlobName: key,
		}.SignWithUserDelegation(credential)
		if err != nil {
			return "", err
		}
		return a.client.NewBlobClient(key).URL() + "?" + query.Encode(), nil
	}
	return a, nil
}

// redirected sends requests to another base URL than they are made for.
type redirected struct {
	next http.RoundTripper
	to   *url.URL
}

func (d *redirected) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL = d.to.JoinPath(r.URL.Path)
	out.URL.RawQuery, out.Host = r.URL.RawQuery, ""
	return d.next.RoundTrip(out)
}

// CloseIdleConnections is called by that of http.Client.
func (d *redirected) CloseIdleConnections() {}

// keyLife is how long a delegation key lives, at least: it is renewed when half of its
// life is over.
const keyLife = 2 * time.Hour

// delegation keeps the last key.
type delegation struct {
	client *azure.Client
	last   chan delegated // Holds the one key.
}

type delegated struct {
	credential   *azure.UserDelegationCredential
	renew, until time.Time
}

// credential is one that outlives what it signs, by ttl from now.
func (d *delegation) credential(ctx context.Context, ttl time.Duration) (*azure.UserDelegationCredential, error) {
	select {
	case last := <-d.last:
		now := time.Now().UTC()
		var err error
		if last.credential == nil || now.After(last.renew) || now.Add(ttl).After(last.until) {
			life := max(keyLife, 2*ttl)
			begin, end := now.Add(-skew).Format(time.RFC3339), now.Add(life).Format(time.RFC3339)
			var c *azure.UserDelegationCredential
			c, err = d.client.GetUserDelegationCredential(ctx, azure.KeyInfo{Start: &begin, Expiry: &end}, nil)
			if err == nil {
				last = delegated{credential: c, renew: now.Add(life / 2), until: now.Add(life)}
			}
		}
		d.last <- last
		return last.credential, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
