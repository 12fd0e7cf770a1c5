package cloud

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"broadsheet.dev/broadsheet/fragments/store"
)

// azureContainer is a container of Azure's blob storage.
type azureContainer struct {
	client *container.Client
	signer func(ctx context.Context, key string, ttl time.Duration) (string, error)
}

// Environment variables that Azure credentials are in where the entry has none; they are
// Gazette's.
const (
	envAccountName  = "AZURE_ACCOUNT_NAME"
	envAccountKey   = "AZURE_ACCOUNT_KEY"
	envClientID     = "AZURE_CLIENT_ID"
	envClientSecret = "AZURE_CLIENT_SECRET"
	envAuthority    = "AZURE_AUTHORITY_HOST"
)

// secret is one of a file, or else of the environment.
func secret(file, env string) (string, error) {
	if file == "" {
		if v := os.Getenv(env); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("neither the store's entry nor %s gives it", env)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(text)), nil
}

// openAzure opens a container by the shared key of its account.
func openAzure(t store.Target, c *http.Client, _ Config) (connect, string, error) {
	return func(context.Context) (service, error) {
		account := or(t.Entry.Account, os.Getenv(envAccountName))
		if account == "" {
			return nil, fmt.Errorf("account: neither the store's entry nor %s gives it", envAccountName)
		}
		key, err := secret(t.Entry.AccountKeyFile, envAccountKey)
		if err != nil {
			return nil, fmt.Errorf("account_key_file: %w", err)
		}
		credential, err := container.NewSharedKeyCredential(account, key)
		if err != nil {
			return nil, errors.New("account_key_file: it is no key in base64")
		}
		at, err := azureURL(t.Entry.Endpoint, account)
		if err != nil {
			return nil, err
		}
		client, err := container.NewClientWithSharedKeyCredential(at.JoinPath(t.Host).String(), credential, azureOptions(c))
		if err != nil {
			return nil, errors.New("container: " + withoutURL(err))
		}
		a := &azureContainer{client: client}
		a.signer = a.signShared
		return a, nil
	}, t.Path, nil
}

// azureURL is that of an account.
func azureURL(endpoint, account string) (*url.URL, error) {
	if endpoint == "" {
		endpoint = "https://" + account + ".blob.core.windows.net"
	}
	at, err := url.Parse(endpoint)
	if err != nil {
		return nil, errors.New("endpoint: it is no URL")
	}
	return at, nil
}

// azureOptions make the library send by a client, and try again as often as others do.
func azureOptions(c *http.Client) *container.ClientOptions {
	o := new(container.ClientOptions)
	o.Transport = c
	o.Retry.MaxRetries, o.Retry.RetryDelay, o.Retry.MaxRetryDelay = 2, 200*time.Millisecond, 2*time.Second
	return o
}

// ifAbsent is the condition that there is no blob.
func ifAbsent() *blob.AccessConditions {
	var c blob.ModifiedAccessConditions
	setString(&c.IfNoneMatch, "*")
	return &blob.AccessConditions{ModifiedAccessConditions: &c}
}

// setString sets a field of a string type that another module defines.
func setString[T ~string](p **T, v string) {
	s := T(v)
	*p = &s
}

func blobHeaders(e store.Encoding) *blob.HTTPHeaders {
	return &blob.HTTPHeaders{BlobContentEncoding: contentEncoding(e)}
}

func (a *azureContainer) create(ctx context.Context, key string, body []byte, e store.Encoding) error {
	_, err := a.client.NewBlockBlobClient(key).Upload(ctx, newSeekable(body), &blockblob.UploadOptions{
		HTTPHeaders: blobHeaders(e), AccessConditions: ifAbsent(),
		TransactionalValidation: blob.TransferValidationTypeComputeCRC64(),
	})
	return err
}

// azureUpload stages blocks, which no reader sees. Who commits first makes the blob, and
// all other blocks that are staged for it vanish: those who staged them are told that
// their list of blocks is invalid.
type azureUpload struct {
	blob     *blockblob.Client
	encoding store.Encoding
	id       [12]byte // Of the next block: random, and its number. All have to be of one length.
	blocks   []string
}

func (a *azureContainer) upload(_ context.Context, key string, _ int64, e store.Encoding) (upload, error) {
	u := &azureUpload{blob: a.client.NewBlockBlobClient(key), encoding: e}
	_, err := rand.Read(u.id[:8])
	return u, err
}

func (u *azureUpload) add(ctx context.Context, part []byte) error {
	binary.BigEndian.PutUint32(u.id[8:], uint32(len(u.blocks)))
	block := base64.StdEncoding.EncodeToString(u.id[:])
	_, err := u.blob.StageBlock(ctx, block, newSeekable(part), &blockblob.StageBlockOptions{
		TransactionalValidation: blob.TransferValidationTypeComputeCRC64(),
	})
	u.blocks = append(u.blocks, block)
	return err
}

func (u *azureUpload) commit(ctx context.Context) error {
	_, err := u.blob.CommitBlockList(ctx, u.blocks, &blockblob.CommitBlockListOptions{
		HTTPHeaders: blobHeaders(u.encoding), AccessConditions: ifAbsent(),
	})
	return err
}

// abort does nothing, as Azure knows no abort: it drops what was staged after a week.
func (u *azureUpload) abort(context.Context) {}

// get leaves it to package http to decode a blob with an encoding.
func (a *azureContainer) get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := a.client.NewBlobClient(key).DownloadStream(ctx, nil)
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

func (a *azureContainer) stat(ctx context.Context, key string) (store.Object, error) {
	out, err := a.client.NewBlobClient(key).GetProperties(ctx, nil)
	if err != nil {
		return store.Object{}, err
	}
	return store.Object{Path: key, Size: deref(out.ContentLength), ModTime: deref(out.LastModified)}, nil
}

func (a *azureContainer) list(ctx context.Context, prefix string, fn func(store.Object) error) error {
	pages := a.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		if page.Segment == nil {
			continue
		}
		for _, item := range page.Segment.BlobItems {
			object := store.Object{Path: deref(item.Name)}
			if p := item.Properties; p != nil {
				object.Size, object.ModTime = deref(p.ContentLength), deref(p.LastModified)
			}
			if err = fn(object); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *azureContainer) remove(ctx context.Context, key string) error {
	_, err := a.client.NewBlobClient(key).Delete(ctx, nil)
	return err
}

func (a *azureContainer) sign(ctx context.Context, key string, ttl time.Duration) (string, error) {
	return a.signer(ctx, key, ttl)
}
