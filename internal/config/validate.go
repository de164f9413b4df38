package config

import (
	"fmt"
	"maps"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxInFlight is the bound of max × slots of a pool. About 120,000 messages of a standard queue may be in flight; beyond that
	// receives return nothing and no error (SQS quotas). The rest is for messages returned and received again.
	maxInFlight = 100_000
	// maxHidden is how long a message may stay in flight, counted from its first receive (SQS quotas).
	maxHidden = 12 * time.Hour
	// minExternalIdle is longer than work may seem to be there after the last of it has been done: SQS's depths lag by a minute
	// or so ("GetQueueAttributes" in the Amazon SQS API reference), and the scaler believes them for another.
	minExternalIdle = 3 * time.Minute
	// minHidden leaves a worker's heartbeat, at every third of it, a whole second.
	minHidden = 3 * time.Second
)

// The names that Spate and the AWS services take.
var (
	ownName    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	queueName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
	tableName  = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	familyName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// validator checks values against each other and against what the services allow.
type validator struct {
	*decoder
	readFile func(string) ([]byte, error)
}

// fail notes a problem with the value at path, unless it could not be read in the first place. A value that is not there is
// shown where its nearest ancestor stands.
func (v *validator) fail(path, format string, args ...any) {
	at, found := place{line: 1, column: 1}, false
	for p := path; ; p = parent(p) {
		if v.rejected[p] {
			return
		}
		if known, ok := v.places[p]; ok && !found {
			at, found = known, true
		}
		if p == "" {
			break
		}
	}
	v.add(at, path, format, args...)
}

// parent is the path one step up: pools[0].max, pools[0], pools, nothing.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// required tells whether there is a value, and if not, says what it is for.
func (v *validator) required(path, value, purpose string) bool {
	if value == "" {
		v.fail(path, "is required: %s", purpose)
	}
	return value != ""
}

// named checks a required name.
func (v *validator) named(path, value string, pattern *regexp.Regexp, purpose string) {
	if v.required(path, value, purpose) && !pattern.MatchString(value) {
		v.fail(path, "%q is no valid name: it must match %s", value, pattern)
	}
}

func (v *validator) atLeast(path string, value, least int) {
	if value < least {
		v.fail(path, "must be at least %d, not %d", least, value)
	}
}

// notNegative checks an amount of which 0 is none.
func (v *validator) notNegative(path string, value float64) {
	if value < 0 || math.IsNaN(value) || math.IsInf(value, 0) {
		v.fail(path, "must be 0 or more, not %v", value)
	}
}

// positive checks a required number.
func (v *validator) positive(path string, value int, purpose string) {
	if _, given := v.places[path]; given {
		v.atLeast(path, value, 1)
	} else if value < 1 {
		v.fail(path, "is required: %s", purpose)
	}
}

func (v *validator) config(c *Config) {
	v.named("namespace", c.Namespace, ownName, `leave it out for "default"`)
	v.named("tables.runs", c.Tables.Runs, tableName, "name the DynamoDB table of runs")
	v.named("tables.outputs", c.Tables.Outputs, tableName, "name the DynamoDB table of outputs")
	if c.Tables.Runs != "" && c.Tables.Runs == c.Tables.Outputs {
		v.fail("tables.outputs", "%q is the table of runs too: the two have different keys", c.Tables.Outputs)
	}
	v.named("bucket", c.Bucket, bucketName, "name the S3 bucket of inputs, manifests and outputs")
	if v.required("redis.url", c.Redis.URL, "give redis://host:port or, with TLS, rediss://host:port") {
		if err := checkRedis(c.Redis.URL); err != "" {
			v.fail("redis.url", "%s", err)
		}
	}
	if c.Cache.Retention < time.Second {
		v.fail("cache.retention", "must be at least 1s, not %s", c.Cache.Retention)
	}
	v.atLeast("cache.ledger_writes_per_second", c.Cache.LedgerWritesPerSecond, 1)
	v.notNegative("cache.expected_outputs", float64(c.Cache.ExpectedOutputs))
	if !(c.Cache.VerifyHits >= 0 && c.Cache.VerifyHits <= 1) { // nor no number at all
		v.fail("cache.verify_hits", "must be from 0 to 1, not %v", c.Cache.VerifyHits)
	}
	v.atLeast("cache.refresh_objects_per_second", c.Cache.RefreshObjectsPerSecond, 0)
	if c.HTTP.Listen != "" && !isAddress(c.HTTP.Listen) {
		v.fail("http.listen", `%q is no address: give host:port, or "" to serve nothing`, c.HTTP.Listen)
	}
	v.notNegative("budget.max_usd_per_hour", c.Budget.MaxUSDPerHour)
	v.notNegative("account.fargate_vcpus", c.Account.FargateVCPUs)
	v.notNegative("account.fargate_spot_vcpus", c.Account.FargateSpotVCPUs)
	v.atLeast("account.network_interfaces", c.Account.NetworkInterfaces, 0)
	v.queues(c)
	v.pools(c.Pools)
	for _, name := range slices.Sorted(maps.Keys(c.Tasks)) {
		path := join("tasks", name)
		if !ownName.MatchString(name) {
			v.fail(path, "%q is no valid name: it must match %s", name, ownName)
		}
		task := c.Tasks[name]
		v.task(path, &task)
		c.Tasks[name] = task
	}
}

// queues checks the names of all queues, and that no two are the same.
func (v *validator) queues(c *Config) {
	owner := map[string]string{}
	check := func(path, name, purpose string) {
		if strings.HasSuffix(name, ".fifo") {
			v.fail(path, "%q is a FIFO queue: use a standard one", name)
			return
		}
		v.named(path, name, queueName, purpose)
		if before, ok := owner[name]; ok && name != "" {
			v.fail(path, "queue %q is already that of %s", name, before)
			return
		}
		owner[name] = path
	}
	check("queues.submissions", c.Queues.Submissions, "name the SQS queue through which runs are submitted")
	check("queues.events", c.Queues.Events, "name the SQS queue in which workers report")
	check("queues.outputs", c.Queues.Outputs, "name the SQS queue that S3 notifies of new outputs")
	if c.Queues.TaskEvents != "" {
		check("queues.task_events", c.Queues.TaskEvents, "")
	}
	for i, p := range c.Pools {
		check(fmt.Sprintf("pools[%d].queue", i), p.Queue, "name the SQS queue of the pool's jobs")
	}
}

func (v *validator) pools(pools []Pool) {
	if len(pools) == 0 {
		v.fail("pools", "is required: give at least one pool")
	}
	seen := map[string]int{}
	for i, p := range pools {
		path := fmt.Sprintf("pools[%d]", i)
		v.pool(path, p)
		if first, ok := seen[p.Name]; ok && p.Name != "" {
			v.fail(path+".name", "pool %q is already pools[%d]", p.Name, first)
			continue
		}
		seen[p.Name] = i
	}
}

func (v *validator) pool(path string, p Pool) {
	v.named(path+".name", p.Name, ownName, "runs refer to a pool by its name")
	if p.Source != SourcePlanner && p.Source != SourceExternal {
		v.fail(path+".source", "unknown source %q; it is planner or external", p.Source)
	}
	v.required(path+".cluster", p.Cluster, "name the ECS cluster in which the workers run")
	v.named(path+".task_definition", p.TaskDefinition, familyName, "give the workers' task definition family, without a revision")
	v.texts(path+".subnets", p.Subnets)
	if len(p.Subnets) == 0 {
		v.fail(path+".subnets", "is required: give at least one subnet for the workers' addresses")
	}
	v.texts(path+".security_groups", p.SecurityGroups)
	v.atLeast(path+".min", p.Min, 0)
	v.atLeast(path+".slots", p.Slots, 1)
	switch {
	case p.Max < 1:
		v.positive(path+".max", p.Max, "how many workers there are at most")
	case p.Min > p.Max:
		v.fail(path+".min", "must be at most max, which is %d, not %d", p.Max, p.Min)
	case p.Slots > 0 && p.Max > maxInFlight/p.Slots:
		v.fail(path+".max", "max × slots must be at most %d, not %d × %d: an SQS standard queue lets about 120,000 messages be in flight, and then gives out none", maxInFlight, p.Max, p.Slots)
	}
	v.capacity(path, p)
	v.sizing(path+".sizing", p)
	switch {
	case p.IdleTimeout <= 0:
		v.fail(path+".idle_timeout", "must be more than 0")
	case p.Source == SourceExternal && p.IdleTimeout < minExternalIdle:
		v.fail(path+".idle_timeout", "must be at least 3m where other producers feed the pool, not %s: the depth of a queue may be a minute behind and is believed for another; workers that leave before would be replaced for nothing", p.IdleTimeout)
	}
	if t := p.VisibilityTimeout; t < minHidden || t > maxHidden || t%time.Second != 0 {
		v.fail(path+".visibility_timeout", "must be 3s to 12h in whole seconds (a worker renews it every third of it, and SQS allows 12h), not %s", t)
	}
}

func (v *validator) capacity(path string, p Pool) {
	if len(p.Capacity) == 0 {
		v.fail(path+".capacity", "is required: give at least one provider, such as {provider: FARGATE, max: %d}", max(1, p.Max))
		return
	}
	sum, floors, complete, seen := 0, 0, true, map[string]bool{}
	for i, c := range p.Capacity {
		at := fmt.Sprintf("%s.capacity[%d]", path, i)
		switch {
		case !v.required(at+".provider", c.Provider, "FARGATE or FARGATE_SPOT"):
		case c.Provider != "FARGATE" && c.Provider != "FARGATE_SPOT":
			v.fail(at+".provider", "unknown provider %q; it is FARGATE or FARGATE_SPOT", c.Provider)
		case seen[c.Provider]:
			v.fail(at+".provider", "%s is given twice: add its maxima up", c.Provider)
		}
		seen[c.Provider] = true
		v.positive(at+".max", c.Max, "how many workers to take from this provider")
		v.atLeast(at+".min", c.Min, 0)
		if c.Max >= 1 && c.Min > c.Max {
			v.fail(at+".min", "must be at most max, which is %d, not %d", c.Max, c.Min)
		}
		floors += c.Min
		sum += c.Max
		complete = complete && c.Max >= 1
	}
	if complete && sum < p.Max {
		v.fail(path+".capacity", "allows %d workers in all, fewer than max, which is %d", sum, p.Max)
	}
	if p.Max >= 1 && floors > p.Max {
		v.fail(path+".capacity", "wants at least %d workers of its providers together, more than max, which is %d", floors, p.Max)
	}
}

// shortestDeadline leaves a run time for the start of its workers, and a deadline something to choose.
const shortestDeadline = 10 * time.Minute

func (v *validator) sizing(path string, p Pool) {
	switch s := p.Sizing; {
	case s.Mode == SizingASAP && s.Within != 0:
		v.fail(path+".within", "is for mode deadline: give that, or leave it out")
	case s.Mode == SizingDeadline && p.Source == SourceExternal:
		v.fail(path+".mode", "deadline is for pools of runs: when the messages of other producers were due is not known; give asap")
	case s.Mode == SizingDeadline && s.Within < shortestDeadline:
		v.fail(path+".within", "mode deadline needs how long after its submission a run should be done, such as 6h, at least 10m, not %s", s.Within)
	case s.Mode != SizingASAP && s.Mode != SizingDeadline:
		v.fail(path+".mode", "unknown mode %q; it is asap or deadline", s.Mode)
	}
}

func (v *validator) task(path string, t *Task) {
	if len(t.Command) == 0 {
		v.fail(path+".command", "is required: give the program and its arguments")
	}
	v.program(path+".command", t.Command)
	for _, hook := range []struct {
		name string
		argv []string
	}{{"before", t.Before}, {"after", t.After}, {"on_failure", t.OnFailure}} {
		if hook.argv != nil && len(hook.argv) == 0 {
			v.fail(join(path, hook.name), "is empty: give the program and its arguments, or leave it out")
		}
		v.program(join(path, hook.name), hook.argv)
	}
	v.directories(path, t)
	if t.Timeout <= 0 || t.Timeout > maxHidden {
		v.fail(path+".timeout", "must be more than 0 and at most 12h, the longest that SQS leaves a message in flight, not %s", t.Timeout)
	}
	v.atLeast(path+".max_attempts", t.MaxAttempts, 1)
	for i, code := range t.PermanentExitCodes {
		if code < 1 || code > 255 {
			v.fail(fmt.Sprintf("%s.permanent_exit_codes[%d]", path, i), "must be 1 to 255, not %d", code)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Env)) {
		at := join(path+".env", name)
		switch {
		case !envName.MatchString(name):
			v.fail(at, "%q is no name of an environment variable", name)
		case strings.HasPrefix(name, "SPATE_") || name == "TASK_NAME":
			v.fail(at, "Spate itself sets %s", name)
		}
		v.plain(at, t.Env[name])
	}
	if t.ParamsSchema != "" {
		v.paramsSchema(path+".params_schema", t)
	}
}

// program checks a program and its arguments.
func (v *validator) program(path string, argv []string) {
	for i, s := range argv {
		at := fmt.Sprintf("%s[%d]", path, i)
		if i == 0 && s == "" {
			v.fail(at, "is empty: give the program")
		}
		v.plain(at, s)
	}
}

// plain refuses what no process can be given.
func (v *validator) plain(path, s string) {
	if strings.ContainsRune(s, 0) {
		v.fail(path, "contains a zero byte")
	}
}

// texts refuses empty items.
func (v *validator) texts(path string, list []string) {
	for i, s := range list {
		if s == "" {
			v.fail(fmt.Sprintf("%s[%d]", path, i), "is empty: give a value or remove the item")
		}
	}
}

// directories checks that a task's directories lie within the work directory and not within one another, so that every
// file is either an input or an output, once.
func (v *validator) directories(path string, t *Task) {
	type directory struct{ path, clean string }
	var seen []directory
	check := func(at, dir string) {
		clean := filepath.Clean(dir)
		if dir == "" || !filepath.IsLocal(dir) || clean == "." {
			v.fail(at, "%q must be a directory below the work directory, such as %q", dir, "out")
			return
		}
		for _, other := range seen {
			if within(clean, other.clean) || within(other.clean, clean) {
				v.fail(at, "%q overlaps %s", dir, other.path)
				return
			}
		}
		seen = append(seen, directory{at, clean})
	}
	check(path+".input_dir", t.InputDir)
	if len(t.OutputDirs) == 0 {
		v.fail(path+".output_dirs", "is empty: a job without output is never done")
	}
	for i, dir := range t.OutputDirs {
		check(fmt.Sprintf("%s.output_dirs[%d]", path, i), dir)
	}
}

// within tells whether directory a is b or lies below it.
func within(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+string(filepath.Separator))
}

func (v *validator) paramsSchema(path string, t *Task) {
	data, err := v.readFile(t.ParamsSchema)
	if err != nil {
		v.fail(path, "read schema: %s", err)
		return
	}
	if t.params, err = compileParams(t.ParamsSchema, data); err != nil {
		v.fail(path, "%s is no valid JSON Schema: %s", t.ParamsSchema, err)
	}
}

// checkRedis says what is wrong with the URL of a Redis, without repeating it: it may hold a password.
func checkRedis(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "is no URL: give redis://host:port or, with TLS, rediss://host:port"
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return fmt.Sprintf("has scheme %q: it must be redis or, with TLS, rediss", u.Scheme)
	case u.Hostname() == "":
		return "names no host: give redis://host:port or, with TLS, rediss://host:port"
	}
	return ""
}

// isAddress tells whether s is host:port with a numeric port; the host may be empty.
func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}
