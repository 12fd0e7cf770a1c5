package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"

	"broadsheet.dev/broadsheet/fragments/store"
)

// gcsHost serves Google's buckets, to programs and at signed URLs.
const gcsHost = "storage.googleapis.com"

// gcsBucket is a bucket of Google Cloud Storage.
type gcsBucket struct {
	*blob.Bucket
	partSize int
	endpoint *url.URL // Nil for Google's own.
}

// openGCS takes the key of a service account from the store's entry, or else what
// Google calls the application default credentials.
func openGCS(t store.Target, c *http.Client, config Config) (connect, string, error) {
	var endpoint *url.URL
	if t.Entry.Endpoint != "" {
		var err error
		if endpoint, err = url.Parse(t.Entry.Endpoint); err != nil {
			return nil, "", errors.New("its entry's endpoint is no URL")
		}
	}
	return func(ctx context.Context) (service, error) {
		key, token, err := gcsCredentials(ctx, c, t.Entry.CredentialsFile)
		if err != nil {
			return nil, err
		}
		client := &gcp.HTTPClient{Client: http.Client{
			Transport:     &bearer{next: &moved{next: c.Transport, from: gcsHost, to: endpoint}, token: token},
			CheckRedirect: c.CheckRedirect,
		}}
		options := &gcsblob.Options{GoogleAccessID: key.Email, PrivateKey: []byte(key.PrivateKey)}
		if key.PrivateKey == "" {
			options.PrivateKey = nil
		}
		// The client outlives the call that is the first to need it.
		b, err := gcsblob.OpenBucket(context.WithoutCancel(ctx), client, t.Host, options)
		if err != nil {
			return nil, fmt.Errorf("Google bucket: %s", withoutURL(err)) //nolint:staticcheck // a name
		}
		return &gcsBucket{Bucket: b, partSize: config.PartSize, endpoint: endpoint}, nil
	}, t.Path, nil
}

// serviceAccount is the JSON key of one, as Google hands it out.
type serviceAccount struct {
	Type       string `json:"type"`
	Email      string `json:"client_email"`
	PrivateKey string `json:"private_key"`
	KeyID      string `json:"private_key_id"`
	TokenURI   string `json:"token_uri"`
}

// gcsCredentials are those of a file, or the application default ones. What has no
// private key can't sign. Tokens of the former are asked for by the store's client.
func gcsCredentials(ctx context.Context, c *http.Client, file string) (serviceAccount, tokenSource, error) {
	var key serviceAccount
	if file == "" {
		// Tokens are renewed for longer than the call lives that is the first to need one.
		defaults, err := gcp.DefaultCredentials(context.WithoutCancel(ctx))
		if err != nil {
			return key, nil, fmt.Errorf("Google credentials: %s", withoutURL(err)) //nolint:staticcheck // a name
		}
		if len(defaults.JSON) > 0 && json.Unmarshal(defaults.JSON, &key) != nil {
			return key, nil, errors.New("Google credentials: they are no JSON") //nolint:staticcheck // a name
		}
		return key, func(context.Context) (string, error) {
			token, err := defaults.TokenSource.Token()
			if err != nil {
				return "", errors.New("get a token: " + withoutURL(err))
			}
			return token.AccessToken, nil
		}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return key, nil, fmt.Errorf("credentials_file: %w", err)
	}
	if err = json.Unmarshal(text, &key); err != nil || key.Type != "service_account" {
		return key, nil, fmt.Errorf("credentials_file %s is not the JSON key of a service account", file)
	}
	tokens, err := newGoogleTokens(c, key)
	if err != nil {
		return key, nil, fmt.Errorf("credentials_file %s: %w", file, err)
	}
	return key, tokens.get, nil
}

// moved sends requests for one host to an endpoint instead, if there is one.
type moved struct {
	next http.RoundTripper
	from string
	to   *url.URL
}

func (m *moved) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.to != nil && r.URL.Host == m.from {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host, r.Host = m.to.Scheme, m.to.Host, m.to.Host
	}
	return m.next.RoundTrip(r)
}

// CloseIdleConnections is called by that of http.Client.
func (m *moved) CloseIdleConnections() {}

// gcsBuffer is what the library sends at a time, and keeps of it: a part is written to
// it piece by piece.
const gcsBuffer = 1 << 20

func (b *gcsBucket) writer(ctx context.Context, key string, e store.Encoding) (*blob.Writer, error) {
	return b.NewWriter(ctx, key, &blob.WriterOptions{
		IfNotExist: true, ContentEncoding: string(e), BufferSize: gcsBuffer, DisableContentTypeDetection: true,
	})
}

func (b *gcsBucket) create(ctx context.Context, key string, body []byte, e store.Encoding) error {
	u, err := b.upload(ctx, key, int64(len(body)), e)
	if err != nil {
		return err
	}
	if err = u.add(ctx, body); err == nil {
		err = u.commit(ctx)
	}
	if err != nil {
		u.abort(ctx)
	}
	return err
}

// gcsUpload is a resumable upload, whose object appears, if there is none, with the
// last of its bytes.
type gcsUpload struct {
	*blob.Writer
	cancel context.CancelFunc
	closed bool
}

func (b *gcsBucket) upload(ctx context.Context, key string, _ int64, e store.Encoding) (upload, error) {
	ctx, cancel := context.WithCancel(ctx)
	w, err := b.writer(ctx, key, e)
	if err != nil {
		cancel()
		return nil, err
	}
	return &gcsUpload{Writer: w, cancel: cancel}, nil
}

func (u *gcsUpload) add(_ context.Context, part []byte) error {
	_, err := u.Write(part)
	return err
}

func (u *gcsUpload) commit(context.Context) error {
	u.closed = true
	defer u.cancel()
	return u.Close()
}

// abort ends the upload before its end is sent. Google forgets it after a week.
func (u *gcsUpload) abort(context.Context) {
	u.cancel()
	if !u.closed {
		_ = u.Close()
	}
}

func (b *gcsBucket) get(ctx context.Context, key string) (io.ReadCloser, error) {
	return b.NewReader(ctx, key, nil)
}

func (b *gcsBucket) stat(ctx context.Context, key string) (store.Object, error) {
	attrs, err := b.Attributes(ctx, key)
	if err != nil {
		return store.Object{}, err
	}
	return store.Object{Path: key, Size: attrs.Size, ModTime: attrs.ModTime}, nil
}

func (b *gcsBucket) list(ctx context.Context, prefix string, fn func(store.Object) error) error {
	objects := b.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err = fn(store.Object{Path: o.Key, Size: o.Size, ModTime: o.ModTime}); err != nil {
			return err
		}
	}
}

func (b *gcsBucket) remove(ctx context.Context, key string) error { return b.Delete(ctx, key) }

// errNoKey is that credentials can't sign URLs.
var errNoKey = fmt.Errorf("%w: the credentials have no private key to sign with; name a service account's key as the entry's credentials_file",
	store.ErrNotAllowed)

func (b *gcsBucket) sign(ctx context.Context, key string, ttl time.Duration) (string, error) {
	signed, err := b.SignedURL(ctx, key, &blob.SignedURLOptions{Expiry: ttl, Method: http.MethodGet})
	if err != nil {
		return "", errNoKey
	}
	if b.endpoint != nil {
		// What is signed is the path and the query.
		signed = strings.Replace(signed, "https://"+gcsHost, strings.TrimSuffix(b.endpoint.String(), "/"), 1)
	}
	return signed, nil
}
