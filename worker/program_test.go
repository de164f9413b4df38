package worker

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain runs the tests, or, as "<test binary> program <name> <arguments>", one of the jobs' programs.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "program" {
		os.Exit(program(os.Args[2], os.Args[3:]))
	}
	goleak.VerifyTestMain(m)
}

func program(name string, args []string) int {
	out := os.Getenv("SPATE_OUTPUT_DIR")
	switch name {
	case "describe": // writes all that it was given
		var b strings.Builder
		env := os.Environ()
		slices.Sort(env)
		for _, v := range env {
			fmt.Fprintln(&b, "env", v)
		}
		params, err := os.ReadFile(os.Getenv("SPATE_PARAMS"))
		must(err)
		fmt.Fprintf(&b, "params %s\n", params)
		in := os.Getenv("SPATE_INPUT_DIR")
		must(filepath.WalkDir(in, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			rel, _ := filepath.Rel(in, path)
			fmt.Fprintf(&b, "input %s %s\n", rel, data)
			return err
		}))
		must(os.WriteFile(filepath.Join(out, "description.txt"), []byte(b.String()), 0o600))
	case "scribble": // reads an input and spoils its copy
		path := filepath.Join(os.Getenv("SPATE_INPUT_DIR"), args[0])
		data, err := os.ReadFile(path)
		must(err)
		must(os.WriteFile(filepath.Join(out, "read"), data, 0o600))
		must(os.WriteFile(path, []byte("spoilt"), 0o600))
	case "write": // path, content
		path := filepath.Clean(args[0])
		must(os.MkdirAll(filepath.Dir(path), 0o700))
		must(os.WriteFile(path, []byte(args[1]), 0o600))
	case "append": // path, line
		f, err := os.OpenFile(args[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		must(err)
		_, err = fmt.Fprintln(f, args[1])
		must(err)
		must(f.Close())
	case "exit": // code, lines
		for _, line := range args[1:] {
			fmt.Println(line)
		}
		code, err := strconv.Atoi(args[0])
		must(err)
		return code
	case "kill":
		must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
		select {}
	case "hang": // says that it runs in a file, and ends well when asked to end
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		must(os.WriteFile(args[0], []byte("runs"), 0o600))
		<-stop
	case "leave-behind": // starts a process that outlives it and holds its output, and notes its id
		left := exec.Command(os.Args[0], "program", "hang", filepath.Join(out, "runs"))
		left.Stdout, left.Stderr = os.Stdout, os.Stderr
		must(left.Start())
		for {
			if _, err := os.Stat(filepath.Join(out, "runs")); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		must(os.WriteFile(filepath.Join(out, "pid"), []byte(strconv.Itoa(left.Process.Pid)), 0o600))
	case "link": // target, path
		must(os.Symlink(args[0], args[1]))
	case "fifo":
		must(syscall.Mkfifo(args[0], 0o600))
	case "lock-up": // makes a directory that cannot be emptied
		must(os.MkdirAll("locked/in", 0o700))
		must(os.WriteFile("locked/in/file", nil, 0o600))
		must(os.Chmod("locked/in", 0o500))
		must(os.Chmod("locked", 0o500))
	case "many-lines": // exit code
		w := bufio.NewWriter(os.Stdout)
		for i := range 1000 {
			fmt.Fprintf(w, "line %d\n", i)
		}
		w.Flush()
		code, err := strconv.Atoi(args[0])
		must(err)
		return code
	default:
		fmt.Println("no such program:", name)
		return 99
	}
	return 0
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
}
