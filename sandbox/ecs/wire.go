package ecs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"spate/sandbox/awsjson"
)

// timestamp is a time as awsJson writes it: seconds since 1970, with
// milliseconds.
type timestamp time.Time

// MarshalJSON writes the seconds.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Time(t).UnixMilli())/1000, 'f', 3, 64), nil
}

// IsZero says whether there is a time at all.
func (t timestamp) IsZero() bool { return time.Time(t).IsZero() }

type keyValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// failure is an entry of failures[].
type failure struct {
	ARN    string `json:"arn,omitempty"`
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

func errInvalid(format string, args ...any) error {
	return awsjson.Errorf("InvalidParameterException", format, args...)
}

func errClient(format string, args ...any) error {
	return awsjson.Errorf("ClientException", format, args...)
}

func errNoCluster() error {
	return awsjson.Errorf("ClusterNotFoundException", "Cluster not found.")
}

func errThrottled() error {
	return awsjson.Errorf("ThrottlingException", "Rate exceeded")
}

// imageDigest is what the image's tag stood for: the digest it is pinned to, or
// one made of its name, so that equal names are equal images.
func imageDigest(image string) string {
	if _, digest, pinned := strings.Cut(image, "@"); pinned {
		return digest
	}
	sum := sha256.Sum256([]byte(image))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// lastPart is the id or name at the end of an ARN, or the text itself.
func lastPart(text string) string { return text[strings.LastIndexByte(text, '/')+1:] }

// newID makes a random identifier of 32 hexadecimal digits.
func newID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails: it ends the program instead
	return hex.EncodeToString(id[:])
}
