package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/klauspost/compress/gzip"
	"gocloud.dev/aws"

	"broadsheet.dev/broadsheet/fragments/store"
)

// s3Bucket is a bucket of S3, or of what speaks its protocol.
type s3Bucket struct {
	client *s3.Client
	name   string
	put    s3Put
}

// s3Put is what the URL of a store says about how objects are stored.
type s3Put struct {
	acl   types.ObjectCannedACL
	class types.StorageClass
	sse   types.ServerSideEncryption
	key   *string
}

// openS3 checks the arguments of a URL. Credentials and region are those of the AWS
// configuration, as the AWS programs find it.
func openS3(t store.Target, c *http.Client, _ Config) (connect, string, error) {
	put := s3Put{
		acl:   types.ObjectCannedACL(t.Args["acl"]),
		class: types.StorageClass(t.Args["storageclass"]),
		sse:   types.ServerSideEncryption(t.Args["sse"]),
	}
	if id := t.Args["ssekmskeyid"]; id != "" {
		put.key = &id
	}
	switch {
	case put.acl != "" && !slices.Contains(put.acl.Values(), put.acl):
		return nil, "", errors.New(`its argument "acl" is none of S3's`)
	case put.class != "" && !slices.Contains(put.class.Values(), put.class):
		return nil, "", errors.New(`its argument "storageclass" is none of S3's`)
	case put.sse != "" && !slices.Contains(put.sse.Values(), put.sse):
		return nil, "", errors.New(`its argument "sse" is none of S3's`)
	case put.key != nil && put.sse != types.ServerSideEncryptionAwsKms && put.sse != types.ServerSideEncryptionAwsKmsDsse:
		return nil, "", errors.New(`its argument "ssekmskeyid" needs an argument "sse" of aws:kms or aws:kms:dsse`)
	}
	endpoint := or(t.Args["endpoint"], t.Entry.Endpoint)
	params := url.Values{}
	for name, value := range map[string]string{
		"region":  or(t.Args["region"], t.Entry.Region),
		"profile": or(t.Args["profile"], t.Entry.Profile),
	} {
		if value != "" {
			params.Set(name, value)
		}
	}
	return func(ctx context.Context) (service, error) {
		config, err := aws.V2ConfigFromURLParams(ctx, params)
		if err != nil {
			return nil, fmt.Errorf("AWS configuration: %s", withoutURL(err))
		}
		if config.Region == "" {
			return nil, errors.New("AWS configuration: neither it nor the store's entry or URL gives a region")
		}
		config.HTTPClient, config.Logger = c, nil
		return &s3Bucket{name: t.Host, put: put, client: s3.NewFromConfig(config, func(o *s3.Options) {
			o.DisableLogOutputChecksumValidationSkipped = true
			if endpoint != "" {
				o.BaseEndpoint, o.UsePathStyle = &endpoint, true
			}
		})}, nil
	}, t.Path, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// absent is the condition that there is no object.
var absent = "*"

func contentEncoding(e store.Encoding) *string {
	if e == store.Plain {
		return nil
	}
	s := string(e)
	return &s
}

func (b *s3Bucket) create(ctx context.Context, key string, body []byte, e store.Encoding) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: &key, Body: newSeekable(body), IfNoneMatch: &absent, ContentEncoding: contentEncoding(e),
		ACL: b.put.acl, StorageClass: b.put.class, ServerSideEncryption: b.put.sse, SSEKMSKeyId: b.put.key,
	})
	return err
}

func (b *s3Bucket) get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return nil, err
	}
	if out.ContentEncoding == nil || *out.ContentEncoding != string(store.Gzip) {
		return out.Body, nil
	}
	// The service serves what it was given. (The AWS SDK asks for no other encoding, so
	// that package http doesn't decode it either.)
	dec, err := gzip.NewReader(out.Body)
	if err != nil {
		return nil, errors.Join(err, out.Body.Close())
	}
	return decoded{Reader: dec, Closer: out.Body}, nil
}

type decoded struct {
	io.Reader
	io.Closer
}

func (b *s3Bucket) stat(ctx context.Context, key string) (store.Object, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return store.Object{}, err
	}
	return store.Object{Path: key, Size: deref(out.ContentLength), ModTime: deref(out.LastModified)}, nil
}

// deref is what p points to, or zero.
func deref[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

func (b *s3Bucket) list(ctx context.Context, prefix string, fn func(store.Object) error) error {
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			object := store.Object{Path: deref(o.Key), Size: deref(o.Size), ModTime: deref(o.LastModified)}
			if err = fn(object); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove asks first, as S3 doesn't tell whether there was an object.
func (b *s3Bucket) remove(ctx context.Context, key string) error {
	if _, err := b.stat(ctx, key); err != nil {
		return err
	}
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
	return err
}

func (b *s3Bucket) sign(ctx context.Context, key string, ttl time.Duration) (string, error) {
	signed, err := s3.NewPresignClient(b.client).PresignGetObject(ctx,
		&s3.GetObjectInput{Bucket: &b.name, Key: &key}, s3.WithPresignExpires(ttl))
	if err != nil {
		return "", err
	}
	return signed.URL, nil
}
