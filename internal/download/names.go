package download

import (
	"fmt"
	"path/filepath"
	"strings"
)

// checkNames checks that files can lie beside one another in a directory: that no path leaves it, or is another's too, or
// needs a directory where another has a file. folds says that the directory takes names for equal that differ in case only.
func checkNames(files []File, folds bool) error {
	type name struct {
		path string
		file bool
	}
	names := make(map[string]name, len(files))
	for _, f := range files {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) || strings.HasPrefix(f.Path, partialDir) || strings.HasSuffix(f.Path, "/") {
			return fmt.Errorf("check names: %q leaves the directory, or is no name for a file in it", f.Path)
		}
		for end := 0; end < len(f.Path); end++ {
			slash := strings.IndexByte(f.Path[end:], '/')
			if end += slash; slash < 0 {
				end = len(f.Path)
			}
			n := name{f.Path[:end], end == len(f.Path)}
			folded := n.path
			if folds {
				folded = strings.ToLower(folded)
			}
			other, taken := names[folded]
			switch {
			case !taken:
				names[folded] = n
			case other.path != n.path:
				return fmt.Errorf("check names: %s and %s cannot both be here, as this file system does not tell lower from upper case", other.path, n.path)
			case other.file && n.file:
				return fmt.Errorf("check names: %s is meant twice", n.path)
			case other.file || n.file:
				return fmt.Errorf("check names: %s is a file, and a directory of others", n.path)
			}
		}
	}
	return nil
}
