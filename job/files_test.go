package job

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOutputsAreComparedFileByFile(t *testing.T) {
	same := File{Path: "same", Size: 1, SHA256: "aa"}
	gone, more := File{Path: "gone", Size: 2, SHA256: "bb"}, File{Path: "more", Size: 3, SHA256: "cc"}
	bytes, others := File{Path: "bytes", Size: 4, SHA256: "dd"}, File{Path: "bytes", Size: 4, SHA256: "ee"}
	first, second := []File{gone, bytes, same}, []File{same, more, others}

	got := DiffFiles(first, second)
	want := []FileDifference{{Path: "bytes", First: bytes, Second: others}, {Path: "gone", First: gone}, {Path: "more", Second: more}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	if !got[1].Missing() || got[1].Extra() || got[2].Missing() || !got[2].Extra() || got[0].Missing() || got[0].Extra() {
		t.Error("what is missing and what is extra is mixed up")
	}
	if got := DiffFiles(first, []File{same, bytes, gone}); got != nil {
		t.Errorf("the same files in another order differ: %v", got)
	}
}
