package cloud

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"broadsheet.dev/broadsheet/fragments/store"
)

// s3Upload is a multipart upload. The condition that there is no object is on its
// completion: S3 knows none at its begin.
type s3Upload struct {
	*s3Bucket
	key  string
	id   *string
	size int64
	done []types.CompletedPart
}

func (b *s3Bucket) upload(ctx context.Context, key string, size int64, e store.Encoding) (upload, error) {
	out, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &b.name, Key: &key, ContentEncoding: contentEncoding(e), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
		ACL: b.put.acl, StorageClass: b.put.class, ServerSideEncryption: b.put.sse, SSEKMSKeyId: b.put.key,
	})
	if err != nil {
		return nil, err
	}
	return &s3Upload{s3Bucket: b, key: key, id: out.UploadId, size: size}, nil
}

func (u *s3Upload) add(ctx context.Context, part []byte) error {
	number := int32(len(u.done) + 1)
	out, err := u.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.name, Key: &u.key, UploadId: u.id, PartNumber: &number, Body: newSeekable(part),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
	})
	if err != nil {
		return err
	}
	u.done = append(u.done, types.CompletedPart{ETag: out.ETag, PartNumber: &number, ChecksumCRC32: out.ChecksumCRC32})
	return nil
}

func (u *s3Upload) commit(ctx context.Context) error {
	_, err := u.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.name, Key: &u.key, UploadId: u.id, IfNoneMatch: &absent, MpuObjectSize: &u.size,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.done},
	})
	return err
}

// abort may fail: what is left then costs money, and is what the bucket's rule to abort
// incomplete uploads is for.
func (u *s3Upload) abort(ctx context.Context) {
	_, _ = u.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.name, Key: &u.key, UploadId: u.id})
}
