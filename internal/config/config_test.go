package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares text with a file, or rewrites the file when asked to.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// dump lists every value by its path.
func dump(c *Config) string {
	var b strings.Builder
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch {
		case v.Kind() == reflect.Struct:
			f := fieldsOf(v.Type())
			for _, name := range f.names {
				walk(join(path, name), v.Field(f.index[name]))
			}
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
			}
		case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
			for _, name := range []string{"combine", "price-deal"} {
				if e := v.MapIndex(reflect.ValueOf(name)); e.IsValid() {
					walk(join(path, name), e)
				}
			}
		case v.Kind() == reflect.Pointer:
			walk(path, v.Elem())
		case v.Kind() == reflect.String || v.Kind() == reflect.Slice || v.Kind() == reflect.Map:
			fmt.Fprintf(&b, "%s = %q\n", path, v.Interface())
		default:
			fmt.Fprintf(&b, "%s = %v\n", path, v.Interface())
		}
	}
	walk("", reflect.ValueOf(*c))
	return b.String()
}

func TestGoldenGoodFilesAreReadWithTheirDefaults(t *testing.T) {
	for _, name := range []string{"minimal", "full"} {
		t.Run(name, func(t *testing.T) {
			c, err := Load(filepath.Join("testdata/good", name+".yaml"), nil)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata/good", name+".golden"), dump(c))
		})
	}
}

func TestGoldenBadFilesAreRefusedWithEveryProblemPositioned(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file, nil)
			if err == nil || c != nil {
				t.Fatalf("got configuration %v and error %v, want only an error", c, err)
			}
			requirePositions(t, err)
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

// requirePositions checks that an error of [Parse] consists of positioned problems.
func requirePositions(t *testing.T, err error) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T is no list of problems: %v", err, err)
	}
	for _, err := range joined.Unwrap() {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("%T is no problem with a position: %v", err, err)
		}
		if e.Message == "" || (e.Variable == "") != (e.Line >= 1 && e.Column >= 1) {
			t.Errorf("problem %+v has no place or no message", *e)
		}
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	_, err := Load("testdata/none.yaml", nil)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "testdata/none.yaml") {
		t.Errorf("got %v, want one that names the file", err)
	}
}

func TestAKeyWithoutAValueKeepsTheDefault(t *testing.T) {
	data, err := os.ReadFile("testdata/good/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("minimal.yaml", append(data, "    slots:\n    idle_timeout: ~\ncache: null\n"...), nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Pools[0]; p.Slots != 1 || p.IdleTimeout != 15*time.Minute || c.Cache.Retention != 30*day {
		t.Errorf("got pool %+v and cache %+v, want the defaults", p, c.Cache)
	}
}

func TestMaxTimesSlotsMayReachTheLimitAndNotPassIt(t *testing.T) {
	for _, tc := range []struct {
		max  string
		good bool
	}{{"50000", true}, {"50001", false}} {
		_, err := Load("testdata/good/full.yaml", []string{
			"SPATE_POOLS_ROLLUP_MAX=" + tc.max, "SPATE_POOLS_ROLLUP_CAPACITY_FARGATE_MAX=100000",
		})
		if (err == nil) != tc.good {
			t.Errorf("max %s with 2 slots: error %v, want good = %t", tc.max, err, tc.good)
		}
	}
}

func TestDurations(t *testing.T) {
	for _, tc := range []struct {
		text string
		want time.Duration
		bad  bool
	}{
		{text: "90s", want: 90 * time.Second},
		{text: "15m", want: 15 * time.Minute},
		{text: "30d", want: 720 * time.Hour},
		{text: "1d12h", want: 36 * time.Hour},
		{text: "0d", want: 0},
		{text: "106751d", want: 106751 * day},
		{text: "106752d", bad: true},
		{text: "106751d24h", bad: true},
		{text: "18446744073709551617d", bad: true},
		{text: "", bad: true},
		{text: "d", bad: true},
		{text: "-1d", bad: true},
		{text: "1d-1h", bad: true},
		{text: "1d+1h", bad: true},
		{text: "-0s", bad: true},
		{text: "15", bad: true},
		{text: "1.5d", bad: true},
		{text: "1d1d", bad: true},
	} {
		got, err := ParseDuration(tc.text)
		if got != tc.want || (err != nil) != tc.bad {
			t.Errorf("%q: got %s, %v; want %s, bad = %t", tc.text, got, err, tc.want, tc.bad)
		}
	}
}
