package job

// Replaced names the output that counts as absent to a job that is computed again; the zero value is none. It does so twice. The
// ETag is what older programs know: it is the manifest's until that is written again, for which a bucket that is encrypted
// with AWS KMS gives it another. The attempt stays the same.
type Replaced struct {
	ETag    string `json:"replaces,omitzero"`         // of the manifest that stood when the run was planned
	Attempt string `json:"replaces_attempt,omitzero"` // that this manifest names; none if it cannot be read, or if an older program planned the run
}

// Standing names the output of a key whose manifest is data and has the ETag.
func Standing(key Key, etag string, data []byte) Replaced {
	stands := Replaced{ETag: etag}
	if manifest, err := ParseManifest(data, key); err == nil {
		stands.Attempt = manifest.Attempt
	}
	return stands
}

// Is reports whether it is the output that stands, by either name.
func (r Replaced) Is(stands Replaced) bool {
	return r.ETag != "" && stands.ETag == r.ETag || r.Attempt != "" && stands.Attempt == r.Attempt
}
