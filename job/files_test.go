package job

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOutputsAreComparedFileByFile(t *testing.T) {
	same := File{Path: "same", Size: 1, SHA256: "aa"}
	gone, more := File{Path: "gone", Size: 2, SHA256: "bb"}, File{Path: "more", Size: 3, SHA256: "cc"}
	bytes, others := File{Path: "bytes", Size: 4, SHA256: "dd"}, File{Path: "bytes", Size: 4, SHA256: "ee"}
	before, after := []File{gone, bytes, same}, []File{same, more, others}

	want := []FileDifference{
		{Path: "bytes", Before: &FileSize{4, "dd"}, After: &FileSize{4, "ee"}},
		{Path: "gone", Before: &FileSize{2, "bb"}},
		{Path: "more", After: &FileSize{3, "cc"}},
	}
	if diff := cmp.Diff(want, DiffFiles(before, after)); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	if got := DiffFiles(before, []File{same, bytes, gone}); got != nil {
		t.Errorf("the same files in another order differ: %v", got)
	}
}
