package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data, "SPATE_POOLS_ROLLUP_SUBNETS=[a]")
		}
	}
	f.Add([]byte("a: *a"), "SPATE_POOLS=[{name: x}]")
	noFile := func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	f.Fuzz(func(t *testing.T, data []byte, variable string) {
		c, err := parse("fuzz.yaml", data, []string{variable}, noFile)
		switch {
		case err != nil:
			requirePositions(t, err)
		case c == nil || len(c.Pools) == 0:
			t.Errorf("got %v without an error", c)
		}
	})
}
