package s3

import (
	"crypto/md5"  //nolint:gosec // the Content-MD5 header
	"crypto/sha1" //nolint:gosec // one of S3's checksums
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

// crc64NVME is the reversed polynomial of CRC-64/NVME.
const crc64NVME = 0x9A6C9329AC4BC9B5

// newChecksum makes the hash of a checksum header; nil for a header that is not
// one.
func newChecksum(header string) hash.Hash {
	switch header {
	case "X-Amz-Checksum-Crc32":
		return crc32.NewIEEE()
	case "X-Amz-Checksum-Crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "X-Amz-Checksum-Crc64nvme":
		return crc64.New(crc64.MakeTable(crc64NVME))
	case "X-Amz-Checksum-Sha1":
		return sha1.New() //nolint:gosec // one of S3's checksums
	case "X-Amz-Checksum-Sha256":
		return sha256.New()
	default:
		return nil
	}
}

func isChecksum(header string) bool {
	return strings.HasPrefix(header, "X-Amz-Checksum-") && newChecksum(header) != nil
}

// verifyChecksums compares the checksums that a request's headers give with its
// body.
func verifyChecksums(headers http.Header, body []byte) error {
	if given := headers.Get("Content-Md5"); given != "" {
		sum := md5.Sum(body) //nolint:gosec // what the header holds
		if base64.StdEncoding.EncodeToString(sum[:]) != given {
			return gofakes3.ErrorMessage(gofakes3.ErrBadDigest, "The Content-MD5 you specified did not match what we received.")
		}
	}
	for name := range headers {
		sum := newChecksum(name)
		if sum == nil {
			continue
		}
		sum.Write(body)
		if base64.StdEncoding.EncodeToString(sum.Sum(nil)) != headers.Get(name) {
			algorithm := strings.ToUpper(strings.TrimPrefix(name, "X-Amz-Checksum-"))
			return gofakes3.ErrorMessage(gofakes3.ErrBadDigest,
				"The "+algorithm+" you specified did not match the calculated checksum.")
		}
	}
	return nil
}
