package planner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spate/internal/objects"
	"spate/job"
)

func TestDownloadWritesTheFilesThatAManifestNamesAndChecksThem(t *testing.T) {
	w := newWorld(t)
	key := keyNamed("deal")
	manifest := job.Manifest{
		V: job.MessageVersion, Key: key, Attempt: "b", Image: testImage, Document: []byte(`{}`),
		Files: []job.File{{Path: "deep/losses.csv", Size: 5, SHA256: sha256Hex("1,2,3")}},
	}
	if _, err := Download(t.Context(), w.bucket, key, t.TempDir()); !errors.Is(err, objects.ErrNotFound) {
		t.Errorf("without a manifest: %v", err)
	}
	data, err := manifest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.put(job.ManifestPath(key), string(data))
	w.put(job.AttemptPrefix(key, "a")+"deep/losses.csv", "9,9,9") // of an attempt that does not count
	w.put(job.AttemptPrefix(key, "b")+"deep/losses.csv", "1,2,3")
	dir := t.TempDir()
	if _, err := Download(t.Context(), w.bucket, key, dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "deep", "losses.csv")); err != nil || string(got) != "1,2,3" {
		t.Errorf("the file is %q, %v", got, err)
	}
	for what, content := range map[string]string{"changed": "1,2,4", "shortened": "1,2", "emptied": ""} {
		w.put(job.AttemptPrefix(key, "b")+"deep/losses.csv", content)
		if _, err := Download(t.Context(), w.bucket, key, t.TempDir()); err == nil || !strings.Contains(err.Error(), "and should have") {
			t.Errorf("a file that was %s: %v", what, err)
		}
	}
}

func TestResultsThatCannotBeReadAreAnError(t *testing.T) {
	w := newWorld(t)
	read := func() (n int, err error) {
		for _, e := range ReadResults(t.Context(), w.bucket, "run") {
			if e != nil {
				return n, e
			}
			n++
		}
		return n, nil
	}
	if _, err := read(); !errors.Is(err, objects.ErrNotFound) {
		t.Errorf("without an index: %v", err)
	}
	w.put(job.ResultsIndexPath("run"), `{"id":"a"}`+"\n"+`{"id":`+"\n")
	if n, err := read(); n != 1 || err == nil {
		t.Errorf("%d results, %v", n, err)
	}
	w.put(job.ResultsIndexPath("run"), `{"id":"a"}`+"\n"+`{"id":"b"}`)
	if n, err := read(); n != 2 || err != nil {
		t.Errorf("%d results, %v", n, err)
	}
}
