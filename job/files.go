package job

import (
	"cmp"
	"slices"
)

// FileDifference is a file in which two outputs differ. Of a file that one of them does not have, that one is zero.
type FileDifference struct {
	Path   string `json:"path"`
	First  File   `json:"first,omitzero"`
	Second File   `json:"second,omitzero"`
}

// Missing reports whether only the first output has the file; Extra, whether only the second has it.
func (d FileDifference) Missing() bool { return d.Second == File{} }

// Extra reports whether only the second output has the file.
func (d FileDifference) Extra() bool { return d.First == File{} }

// DiffFiles compares two outputs by their files' sizes and hashes, and returns the differences by path.
func DiffFiles(first, second []File) []FileDifference {
	byPath := make(map[string]FileDifference, len(first))
	for _, f := range first {
		byPath[f.Path] = FileDifference{Path: f.Path, First: f}
	}
	for _, f := range second {
		d := byPath[f.Path]
		d.Path, d.Second = f.Path, f
		byPath[f.Path] = d
	}
	var differences []FileDifference
	for _, d := range byPath {
		if d.First != d.Second {
			differences = append(differences, d)
		}
	}
	slices.SortFunc(differences, func(a, b FileDifference) int { return cmp.Compare(a.Path, b.Path) })
	return differences
}
