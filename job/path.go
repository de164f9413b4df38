package job

import (
	"fmt"
	"strings"
)

// ManifestFile is the name of the file that seals an output.
const ManifestFile = "_manifest.json"

const outputsPrefix = "outputs/"

// OutputPrefix is where everything of a key's output lies in the bucket, ending in a slash. The first two digits of
// the key lead, so that S3 can spread the load over 256 prefixes.
func OutputPrefix(k Key) string {
	s := k.String()
	return outputsPrefix + s[:2] + "/" + s + "/"
}

// OutputsBelow is the prefix of all outputs whose keys begin with two hexadecimal digits.
func OutputsBelow(digits string) string { return outputsPrefix + digits + "/" }

// ManifestPath is the object key of a key's output manifest.
func ManifestPath(k Key) string { return OutputPrefix(k) + ManifestFile }

// AttemptPrefix is where one attempt's files lie. attempt is unique to one execution, so that two workers that run the
// same job never write the same object.
func AttemptPrefix(k Key, attempt string) string { return OutputPrefix(k) + attempt + "/" }

// LogPath is where what an attempt printed lies, when it is long. attempt is that of the output's manifest or of the event.
func LogPath(k Key, attempt string) string {
	s := k.String()
	return "logs/" + s[:2] + "/" + s + "/" + attempt + ".txt"
}

// ParseManifestPath returns the key whose manifest the object is. Other objects, an output's files among them, return
// false.
func ParseManifestPath(object string) (Key, bool) {
	rest, ok := strings.CutPrefix(object, outputsPrefix)
	if !ok {
		return Key{}, false
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 3 || parts[2] != ManifestFile || !strings.HasPrefix(parts[1], parts[0]) || len(parts[0]) != 2 {
		return Key{}, false
	}
	k, err := ParseKey(parts[1])
	if err != nil {
		return Key{}, false
	}
	return k, true
}

// ResultsIndexPath is the object key of the index that maps a run's job ids and labels to outputs.
func ResultsIndexPath(run string) string { return "results/" + run + "/index.jsonl" }

// SubmissionPath is the object key of a submission's run file.
func SubmissionPath(id string) string { return "submissions/" + id + "/run.json" }

// SubmissionJobsPath is the object key of a submission's jobs as JSON lines. Their SHA-256 in its name keeps two
// submissions that took the same id from overwriting each other's.
func SubmissionJobsPath(id, sha256 string) string {
	return "submissions/" + id + "/jobs-" + sha256[:min(16, len(sha256))] + ".jsonl"
}

// RunManifestPath is the object key of a run's normalised manifest: one [Planned] a line.
func RunManifestPath(run string) string { return "runs/" + run + "/jobs.jsonl" }

// CancelledPath is the object key whose existence says that a run is cancelled: workers start no job of it.
func CancelledPath(run string) string { return "runs/" + run + "/cancelled" }

// DrainPath is the object key of a pool's mark that holds a time, RFC 3339: workers that began before it take no more jobs.
func DrainPath(pool string) string { return "pools/" + pool + "/drain" }

// ObjectURL is an S3 object as a URL.
func ObjectURL(bucket, object string) string { return "s3://" + bucket + "/" + object }

// ParseObjectURL splits "s3://bucket/object".
func ParseObjectURL(url string) (bucket, object string, err error) {
	rest, ok := strings.CutPrefix(url, "s3://")
	if !ok {
		return "", "", fmt.Errorf("%q is no S3 URL: want s3://bucket/object", clip(url))
	}
	bucket, object, ok = strings.Cut(rest, "/")
	if !ok || bucket == "" || object == "" {
		return "", "", fmt.Errorf("%q is no S3 URL: want s3://bucket/object", clip(url))
	}
	return bucket, object, nil
}
