package job

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func testMessage(t testing.TB) Message {
	t.Helper()
	doc := fullDocument()
	canonical, err := doc.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return Message{
		V: MessageVersion, Run: "nightly-1", Job: "deal-1", Key: mustKey(t, doc), Document: canonical,
		Inputs: map[string]string{"melt.csv": "s3://data/melt.csv"}, Attempt: 1, Timeout: Duration(90 * time.Minute),
	}
}

func TestMessagesSurviveTheQueue(t *testing.T) {
	want := testMessage(t)
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, doc, err := ParseMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(fullDocument(), doc); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

// checkBody checks that SQS takes a message body (Amazon SQS API reference, "SendMessage").
func checkBody(t *testing.T, body []byte) {
	t.Helper()
	if !utf8.Valid(body) {
		t.Errorf("body %q is no UTF-8", body)
	}
	for _, r := range string(body) {
		switch {
		case r == 0x9, r == 0xA, r == 0xD, r >= 0x20 && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000 && r <= 0x10FFFF:
		default:
			t.Errorf("body %q has %U, which SQS refuses", body, r)
		}
	}
}

// everyControl is all characters that JSON or SQS has something against, and their neighbours.
func everyControl() string {
	var all strings.Builder
	for r := range rune(0xA0) {
		all.WriteRune(r)
	}
	return all.String() + "\uD7FF\uE000\uFFFD\uFFFE\uFFFF\U00010000\U0001FFFE\U0010FFFF\u2028\\uFFFE\\\uFFFF"
}

func TestMessagesKeepCharactersThatSQSRefuses(t *testing.T) {
	odd := everyControl()
	quoted, err := json.Marshal(map[string]string{odd: odd})
	if err != nil {
		t.Fatal(err)
	}
	doc := fullDocument()
	doc.Spec.Params = quoted
	doc.Spec.Env = map[string]string{"ODD": odd}
	doc.Spec.Task.Command = []string{"run", odd}
	canonical, err := doc.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	want := testMessage(t)
	want.Job, want.Document, want.Key = odd, canonical, mustKey(t, doc)
	body, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	checkBody(t, body)
	got, gotDoc, err := ParseMessage(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if key := mustKey(t, gotDoc); key != want.Key {
		t.Errorf("key %s, want %s", key, want.Key)
	}
	if gotDoc.Spec.Env["ODD"] != odd || gotDoc.Spec.Task.Command[1] != odd {
		t.Errorf("document %+v lost characters", gotDoc.Spec)
	}
	params := doc.Spec.Params.Clone()
	if err := params.Canonicalize(); err != nil {
		t.Fatal(err)
	}
	if string(gotDoc.Spec.Params) != string(params) {
		t.Errorf("parameters %q, want the canonical %q", gotDoc.Spec.Params, params)
	}
}

func TestEventsReplaceCharactersThatSQSRefuses(t *testing.T) {
	e := testEvent()
	odd := everyControl()
	e.Job, e.Cause, e.LastLines = odd, odd+"\xff", []string{odd, "\uFFFE", "\xEF\xBF"}
	body, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	checkBody(t, body)
	got, err := ParseEvent(body)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("\uFFFE", "\uFFFD", "\uFFFF", "\uFFFD").Replace(odd)
	if got.Job != odd || got.Cause != text+"\uFFFD" {
		t.Errorf("job %q, cause %q", got.Job, got.Cause)
	}
	if diff := cmp.Diff([]string{text, "\uFFFD", "\uFFFD"}, got.LastLines); diff != "" {
		t.Errorf("last lines (-want +got):\n%s", diff)
	}
}

func TestSubmissionsAreOfCharactersThatSQSTakes(t *testing.T) {
	body, err := Submission{V: MessageVersion, ID: everyControl()}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	checkBody(t, body)
}

func TestMessagesThatAWorkerMustNotBelieveAreRefused(t *testing.T) {
	withDocument := func(change func(*Document)) func(*Message) {
		return func(m *Message) {
			doc := fullDocument()
			change(&doc)
			canonical, err := doc.Canonical()
			if err != nil {
				t.Fatal(err)
			}
			m.Document, m.Key = canonical, mustKey(t, doc)
		}
	}
	parent := func(name, file string) func(*Document) {
		return func(d *Document) { d.Parents = map[string]ParentOutputs{name: {Key: Key{1}, Files: []string{file}}} }
	}
	for want, change := range map[string]func(*Message){
		"version 2":                func(m *Message) { m.V = 2 },
		"is not its document's":    func(m *Message) { m.Key[3] ^= 1 },
		"attempt 0":                func(m *Message) { m.Attempt = 0 },
		"timeout 0s":               func(m *Message) { m.Timeout = 0 },
		`input "melt.csv"`:         func(m *Message) { m.Inputs = nil },
		"is no S3 URL":             func(m *Message) { m.Inputs["melt.csv"] = "/etc/passwd" },
		"parse document":           func(m *Message) { m.Document = jsontext.Value(`{"spec":{"v":2},"parents":{}}`) },
		`parents: name "../x"`:     withDocument(parent("../x", "a")),
		`files of parent "x": nam`: withDocument(parent("x", "/etc/passwd")),
		`inputs: name "../x"`: withDocument(func(d *Document) {
			d.Spec.Inputs = map[string]InputIdentity{"../x": {ETag: "a"}}
		}),
	} {
		m := testMessage(t)
		change(&m)
		data, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := ParseMessage(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestAMessageThatNoQueueTakesIsNotWritten(t *testing.T) {
	m := testMessage(t)
	m.Document = jsontext.Value(`{"x":"` + strings.Repeat("x", MaxMessageBytes) + `"}`)
	if _, err := m.Encode(); err == nil || !strings.Contains(err.Error(), "pass large parameters as an input") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}

func testEvent() Event {
	code, lost := 65, Key{2}
	return Event{
		V: MessageVersion, Type: EventParentLost, Run: "nightly-1", Job: "deal-1", Key: Key{1}, Attempt: 2, Worker: "arn:aws:ecs:x",
		Reused: true, Bytes: 12, Seconds: 1.5, ExitCode: &code, Cause: "exit status 65", LastLines: []string{"a", "b"}, Lost: &lost,
		At: time.Date(2026, 11, 21, 3, 0, 0, 5, time.UTC),
	}
}

func TestEventsSurviveTheQueue(t *testing.T) {
	want := testEvent()
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEvent(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestEventsThatSayNothingAreRefused(t *testing.T) {
	for want, change := range map[string]func(*Event){
		"version 0":          func(e *Event) { e.V = 0 },
		"no key":             func(e *Event) { e.Key = Key{} },
		"names no key":       func(e *Event) { e.Lost = nil },
		`type "exploded"`:    func(e *Event) { e.Type = "exploded" },
		`unknown type ""`:    func(e *Event) { e.Type = "" },
		"parent_lost names ": func(e *Event) { e.Lost = nil },
	} {
		e := testEvent()
		change(&e)
		data, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseEvent(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestWhateverAProcessPrintsItsEventIsSent(t *testing.T) {
	for name, lines := range map[string][]string{
		"binary":     {"\xff\xfe\x00", "half of \xc3"},
		"long lines": {strings.Repeat("\x00", 1<<20), strings.Repeat("\x01", 1<<20)},
		"many lines": strings.Split(strings.Repeat("x\n", 1<<20), "\n"),
	} {
		e := testEvent()
		e.LastLines = slices.Concat(lines, []string{"the last line"})
		e.Cause = strings.Repeat("\xff\x00", 1<<16)
		data, err := e.Encode()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(data) > MaxMessageBytes {
			t.Errorf("%s: %d bytes, a queue takes %d", name, len(data), MaxMessageBytes)
		}
		got, err := ParseEvent(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if last := got.LastLines[len(got.LastLines)-1]; last != "the last line" {
			t.Errorf("%s: the last line is %q", name, last)
		}
	}
}

func TestSubmissionsHaveAName(t *testing.T) {
	want := Submission{V: MessageVersion, ID: "nightly-1"}
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseSubmission(data); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{``, `{}`, `{"v":2,"id":"a"}`, `{"v":1}`, `{"v":1,"id":"../a"}`, `{"v":1,"id":"a"}x`, `{"v":1,"id":"A"}`} {
		if _, err := ParseSubmission([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func testManifest() *Manifest {
	return &Manifest{
		V: MessageVersion, Key: Key{1}, Attempt: "0a1b", Image: "sha256:1111", Seconds: 2.25, Run: "nightly-1", Worker: "arn:aws:ecs:x",
		Files:    []File{{"a.csv", 3, strings.Repeat("0", 64)}, {"b/c.csv", 0, strings.Repeat("1", 64)}},
		Document: jsontext.Value(`{"parents":{},"spec":{"env":{"A":"1"},"v":1}}`), At: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC),
	}
}

func TestManifestsSurviveBeingStored(t *testing.T) {
	want := testManifest()
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseManifest(data, want.Key)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	if got.Bytes() != 3 {
		t.Errorf("%d bytes, want 3", got.Bytes())
	}
	if object := got.Object(got.Files[1]); object != OutputPrefix(got.Key)+"0a1b/b/c.csv" {
		t.Errorf("second file at %s", object)
	}
}

func TestManifestsThatLeadElsewhereAreRefused(t *testing.T) {
	for want, change := range map[string]func(*Manifest){
		"version 9":                 func(m *Manifest) { m.V = 9 },
		"it is 020000000000's":      func(m *Manifest) { m.Key = Key{2} },
		`attempt ""`:                func(m *Manifest) { m.Attempt = "" },
		`attempt ".."`:              func(m *Manifest) { m.Attempt = ".." },
		`attempt "a/b"`:             func(m *Manifest) { m.Attempt = "a/b" },
		`name "../a"`:               func(m *Manifest) { m.Files[0].Path = "../a" },
		"has size -1":               func(m *Manifest) { m.Files[0].Size = -1 },
		`file "b/c.csv" stands in `: func(m *Manifest) { m.Files[0].Path = "b/c.csv" },
	} {
		m := testManifest()
		change(m)
		data, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseManifest(data, Key{1}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestAChildSelectsFilesOfItsParent(t *testing.T) {
	m := testManifest()
	if all, err := m.Select(nil); err != nil || len(all) != 2 {
		t.Errorf("all files: %v, %v", all, err)
	}
	if some, err := m.Select([]string{"b/c.csv"}); err != nil || len(some) != 1 || some[0].Path != "b/c.csv" {
		t.Errorf("one file: %v, %v", some, err)
	}
	if _, err := m.Select([]string{"a.csv", "d.csv"}); err == nil || !strings.Contains(err.Error(), `no file "d.csv"; it has a.csv, b/c.csv`) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestPlannedJobsSurviveBeingStored(t *testing.T) {
	want := Planned{
		ID: "deal-1", Task: "price-deal", Key: Key{1}, Params: jsontext.Value(`{"layers":3}`),
		Inputs: map[string]PlannedInput{"melt.csv": {URL: "s3://data/melt.csv", InputIdentity: InputIdentity{ETag: "abc", Size: 3}}},
		Needs:  map[string]PlannedNeed{"inuring": {Job: "deal-0", Key: Key{2}, Files: []string{"a"}}},
		Labels: map[string]string{"desk": "property"},
	}
	line, err := want.AppendLine([]byte("before\n"))
	if err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(string(line), "before\n")
	if !ok || strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		t.Fatalf("not one line more: %q", line)
	}
	got, err := ParsePlanned([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("planned job (-want +got):\n%s", diff)
	}
}
