package e2e

import (
	"slices"
	"strings"
	"testing"

	"spate/job"
)

// someTasks is a catalogue of one task type that succeeds at once.
const someTasks = `
count:
  command: [sh, -c, 'echo 1 > out/count']
  timeout: 10s
  max_attempts: 2`

func TestBadRunFilesAreRefusedWithEveryErrorInItsPlace(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: someTasks})
	for _, test := range []struct {
		name    string
		file    string   // the run file's name
		content string   // of the run file
		jobs    string   // of jobs.jsonl, when not empty
		want    []string // beginnings of the lines on standard error, below the installation's directory
	}{
		{
			name: "YAML that is none", file: "run.yaml", content: "name: a\npool: work\njobs:\n  - {id: a, task: count\n  - b: [\n",
			want: []string{"run.yaml:5:3: invalid YAML:"},
		}, {
			name: "JSON that is none", file: "run.json", content: `{"name":"a","pool":"work","jobs":[{"id":"a","task":"count","params":{"x":1,"x":2}}]`,
			want: []string{`run.json:1:76: name "x" stands twice`, "run.json:1:84: invalid JSON:"},
		}, {
			name: "an empty file", file: "run.yaml", content: "",
			want: []string{"run.yaml:1: file is empty"},
		}, {
			name: "many errors", file: "run.yaml",
			content: "name: a\npool: work\nprioritty: 3\njobs:\n  - id: a\n    task: cuont\n  - id: a\n    task: count\n  - {id: \"b b\", task: count, needs: {x: nobody}}\n",
			want: []string{
				`run.yaml:3:1: unknown field "prioritty"`, `run.yaml:6:11: unknown task "cuont"; did you mean "count"?`,
				`run.yaml:7:9: job id "a" is taken by the job of line 5`, `run.yaml:9:10: id "b b"`, `run.yaml:9:41: job "b b" needs "nobody"`,
			},
		}, {
			name: "a cycle", file: "run.yaml",
			content: "name: a\npool: work\njobs:\n  - {id: a, task: count, needs: {x: c}}\n  - {id: b, task: count, needs: {x: a}}\n  - {id: c, task: count, needs: {x: b}}\n",
			want:    []string{"run.yaml:5:37: jobs wait for each other: a → c → b → a"},
		}, {
			name: "jobs in JSON lines", file: "run.yaml", content: "name: a\npool: work\njobs_from: jobs.jsonl\n",
			jobs: `{"id":"a","task":"count"}
{"id":"b","task":"count",
{"id":"a","task":"count","paramz":{}}
not json
{"id":"c","task":"count","params":{"n":9007199254740993}}
{"id":"d","task":"sum"}
`,
			want: []string{
				"jobs.jsonl:2:26: invalid JSON", `jobs.jsonl:3:7: job id "a" is taken by the job of line 1`, `jobs.jsonl:3:26: unknown field "paramz" of a job; did you mean "params"?`,
				"jobs.jsonl:4:2: invalid JSON", "jobs.jsonl:5:40: integer 9007199254740993", `jobs.jsonl:6:18: unknown task "sum"`,
			},
		}, {
			name: "an unknown pool", file: "run.yaml", content: "name: a\npool: worc\njobs: [{id: a, task: count}]\n",
			want: []string{`run.yaml:2:7: there is no pool "worc"; the configuration has work`},
		}, {
			name: "a file of jobs that is not there", file: "run.yaml", content: "name: a\npool: work\njobs_from: nosuch.jsonl\n",
			want: []string{"run.yaml:3:12: jobs_from: open "},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := in.write(t, test.file, test.content)
			if test.jobs != "" {
				in.write(t, "jobs.jsonl", test.jobs)
			}
			r := in.spate(t, "submit", file)
			if r.code != 1 || r.stdout != "" {
				t.Errorf("exit code %d, standard output %q; want 1 and nothing", r.code, r.stdout)
			}
			in.checkPlaces(t, r.stderr, test.want)
		})
	}
	if n := in.depth(t, submissionsQueue); n != 0 {
		t.Errorf("%d messages on the submissions queue, want none", n)
	}
	if objects := in.list(t, "submissions/"); len(objects) > 0 {
		t.Errorf("bad input was stored: %v", objects)
	}
}

// checkPlaces checks that standard error has these lines and a last one that sums them up.
func (in *installation) checkPlaces(t *testing.T, stderr string, want []string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	if last := got[len(got)-1]; !strings.HasPrefix(last, "spate: ") {
		t.Errorf("the last line is %q, want a summary", last)
	}
	got = got[:len(got)-1]
	matches := func(line, beginning string) bool { return strings.HasPrefix(line, in.dir+"/"+beginning) }
	if !slices.EqualFunc(got, want, matches) {
		t.Errorf("errors:\n%s\nwant lines that begin with\n%s", stderr, strings.Join(want, "\n"))
	}
}

func TestABadConfigurationIsRefusedByEveryCommandThatReadsIt(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: someTasks})
	bad := in.write(t, "bad.yaml", `tabels: {runs: spate-runs, outputs: spate-outputs}
bucket: spate-data
redis: {url: "redis://127.0.0.1:1"}
queues: {submissions: s, events: e, outputs: o}
pools:
  - name: work
    queue: q
    cluster: c
    task_definition: t
    subnets: [s]
    capacity: [{provider: FARGATE, max: 1}]
    max: -3
    idle_timeout: soon
`)
	torn := in.write(t, "torn.yaml", "tables: {runs: a\nbucket: b\n")
	run := in.write(t, "run.yaml", "name: a\npool: work\njobs: [{id: a, task: count}]\n")
	for _, command := range [][]string{{"submit", run}, {"serve"}, {"status"}, {"runs"}, {"sandbox", "--listen", "127.0.0.1:0", "--redis", "127.0.0.1:0"}} {
		t.Run(command[0], func(t *testing.T) {
			for file, want := range map[string][]string{
				bad: {
					`bad.yaml:1:1: unknown key "tabels"; did you mean "tables"?`,
					"bad.yaml:12:10: pools[0].max: must be at least 1, not -3", "bad.yaml:13:19: pools[0].idle_timeout:",
				},
				torn: {"torn.yaml:2:1: "},
			} {
				r := in.spate(t, append(command, "--config", file)...)
				if r.code != 1 || r.stdout != "" {
					t.Errorf("exit code %d, standard output %q; want 1 and nothing", r.code, r.stdout)
				}
				in.checkPlaces(t, r.stderr, want)
			}
		})
	}
}

func TestWrongUsageIsExitCode2(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: someTasks})
	for _, args := range [][]string{{}, {"frobnicate"}, {"submit"}, {"submit", "nosuch.yaml"}, {"submit", in.config, "--output", "xml"}, {"status", "--nosuch"}, {"demo", "--jobs", "many"}} {
		r := in.spate(t, args...)
		if r.code != 2 || r.stdout != "" || r.stderr == "" {
			t.Errorf("spate %s: exit code %d, standard output %q, standard error %q; want 2 and a hint on standard error", strings.Join(args, " "), r.code, r.stdout, r.stderr)
		}
	}
}

func TestMessagesThatAreNoneHarmNothingAndAreKept(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: someTasks})
	in.serve(t)
	bad := []string{"not json", "{}", `{"v":1}`, `{"v":99,"id":"x"}`, `{"v":1,"type":"exploded","key":"` + strings.Repeat("0", 2*job.KeySize) + `"}`, `[1,2,3]`, "\u00e9\u4e16 " + strings.Repeat("x", 10_000)}
	for _, name := range []string{jobsQueue, eventsQueue, submissionsQueue, outputsQueue} {
		if err := in.queue(t, name).Send(t.Context(), bad...); err != nil {
			t.Fatal(err)
		}
	}

	run := in.mustSucceed(t, in.write(t, "run.yaml", "name: a\npool: work\njobs: [{id: a, task: count}, {id: b, task: count, needs: {a: a}}]\n"))
	if p := run.Progress; p.Executed != 2 {
		t.Errorf("progress %+v, want 2 jobs executed", p)
	}
	for _, name := range []string{jobsQueue, eventsQueue, submissionsQueue, outputsQueue} {
		// A manifest's notification, and the last events, are soon gone.
		eventually(t, "the messages that are none are all that is left of "+name, func() bool {
			return in.depth(t, name)+in.depth(t, name+"-dlq") <= len(bad)
		})
		if n := in.depth(t, name) + in.depth(t, name+"-dlq"); n != len(bad) {
			t.Errorf("%d messages on queue %s and its dead-letter queue, want the %d that are none", n, name, len(bad))
		}
	}
}
