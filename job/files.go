package job

import (
	"cmp"
	"slices"
)

// FileDifference is a file in which two outputs differ. Of a file that only one of them has, the other is nil.
type FileDifference struct {
	Path   string    `json:"path"`
	Before *FileSize `json:"before,omitempty"`
	After  *FileSize `json:"after,omitempty"`
}

// FileSize is what a manifest says of a file's content.
type FileSize struct {
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// DiffFiles lists the files in which two outputs differ, by path: those whose bytes differ by SHA-256, and those that only
// one of them has.
func DiffFiles(before, after []File) []FileDifference {
	byPath := make(map[string]FileDifference, len(before))
	for _, f := range before {
		byPath[f.Path] = FileDifference{Path: f.Path, Before: &FileSize{f.Size, f.SHA256}}
	}
	for _, f := range after {
		d := byPath[f.Path]
		d.Path, d.After = f.Path, &FileSize{f.Size, f.SHA256}
		byPath[f.Path] = d
	}
	var differences []FileDifference
	for _, d := range byPath {
		if d.Before == nil || d.After == nil || *d.Before != *d.After {
			differences = append(differences, d)
		}
	}
	slices.SortFunc(differences, func(a, b FileDifference) int { return cmp.Compare(a.Path, b.Path) })
	return differences
}
