package download

import "testing"

func TestNamesThatCannotBeBesideOneAnotherAreRefused(t *testing.T) {
	t.Parallel()
	const (
		twice  = "check names: a is meant twice"
		either = "check names: a is a file, and a directory of others"
		folded = "check names: Deal and deal cannot both be here, as this file system does not tell lower from upper case"
	)
	for _, c := range []struct {
		paths []string
		folds bool
		want  string
	}{
		{paths: []string{"a/b", "a/c", "b"}},
		{paths: []string{"a", "a"}, want: twice},
		{paths: []string{"a", "a/b"}, want: either},
		{paths: []string{"a/b/c", "a"}, want: either},
		{paths: []string{"Deal/x", "deal/y"}},
		{paths: []string{"Deal/x", "deal/y"}, folds: true, want: folded},
		{paths: []string{"Deal", "deal"}, folds: true, want: folded},
		{paths: []string{"Deal/x", "Deal/y"}, folds: true},
	} {
		var files []File
		for _, path := range c.paths {
			files = append(files, File{Path: path})
		}
		got := ""
		if err := checkNames(files, c.folds); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v, folds %v: error is %q, want %q", c.paths, c.folds, got, c.want)
		}
	}
}
