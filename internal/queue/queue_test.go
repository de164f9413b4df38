package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/queue"
	"spate/sandbox/sqs"
)

// service is the sandbox's SQS over HTTP, of which tests see the batches and take over answers.
type service struct {
	*queue.Queue
	client *awssqs.Client

	mu      sync.Mutex
	batches [][]string                    // what each SendMessageBatch carried, in order
	deletes []int                         // how many each DeleteMessageBatch carried
	answer  func(operation string) string // "": the sandbox answers
}

func serve(t *testing.T) *service {
	t.Helper()
	s := &service{}
	backend := sqs.New(sqs.Options{Region: "us-east-1", AccountID: "000000000000", Log: zerolog.Nop()})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if answer := s.note(strings.TrimPrefix(r.Header.Get("X-Amz-Target"), sqs.Target), body); answer != "" {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			_, _ = io.WriteString(w, answer)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.client = awsclient.Local(server.URL).SQS
	if _, err := s.client.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: aws.String("spate-rollup")}); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.Queue, err = queue.Open(t.Context(), s.client, "spate-rollup"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *service) note(operation string, body []byte) (answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct {
		Entries []struct{ MessageBody string }
	}
	_ = json.Unmarshal(body, &in) // no batch: no entries
	switch operation {
	case "SendMessageBatch":
		var bodies []string
		for _, e := range in.Entries {
			bodies = append(bodies, e.MessageBody)
		}
		s.batches = append(s.batches, bodies)
	case "DeleteMessageBatch":
		s.deletes = append(s.deletes, len(in.Entries))
	}
	if s.answer != nil {
		return s.answer(operation)
	}
	return ""
}

// drain receives all messages there are.
func (s *service) drain(t *testing.T) []queue.Message {
	t.Helper()
	var all []queue.Message
	for {
		got, err := s.Receive(t.Context(), queue.MaxBatch, 0, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			return all
		}
		all = append(all, got...)
	}
}

func bodies(messages []queue.Message) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.Body)
	}
	slices.Sort(all)
	return all
}

func receipts(messages []queue.Message) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.Receipt)
	}
	return all
}

func numbered(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("message %02d", i)
	}
	return all
}

func TestAQueueThatDoesNotExistIsNamed(t *testing.T) {
	s := serve(t)
	_, err := queue.Open(t.Context(), s.client, "spate-deals")
	if want := `open queue "spate-deals": it does not exist in this account and Region`; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	if !strings.HasSuffix(s.URL(), "/spate-rollup") {
		t.Errorf("URL is %s", s.URL())
	}
}

func TestMessagesAreSentTenACallAndAllArrive(t *testing.T) {
	s := serve(t)
	sent := numbered(23)
	if err := s.Send(t.Context(), sent...); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, b := range s.batches {
		sizes = append(sizes, len(b))
	}
	if diff := cmp.Diff([]int{10, 10, 3}, sizes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(sent, bodies(s.drain(t))); diff != "" {
		t.Error(diff)
	}
}

func TestSendingNothingCallsNobody(t *testing.T) {
	s := serve(t)
	if err := s.Send(t.Context()); err != nil || len(s.batches) != 0 {
		t.Errorf("error is %v after %d calls", err, len(s.batches))
	}
	if err := s.Delete(t.Context()); err != nil || len(s.deletes) != 0 {
		t.Errorf("error is %v after %d calls", err, len(s.deletes))
	}
}

func TestABatchIsNoLargerThanAMessageMayBe(t *testing.T) {
	s := serve(t)
	const k = 1 << 10
	half, most, small := strings.Repeat("h", 128*k), strings.Repeat("m", queue.MaxBatchBytes), "s"
	sent := []string{half, half, small, most, small, half, strings.Repeat("é", 64*k), half}
	if err := s.Send(t.Context(), sent...); err != nil {
		t.Fatal(err)
	}
	var got [][]int
	for _, b := range s.batches {
		var sizes []int
		for _, body := range b {
			sizes = append(sizes, len(body))
		}
		got = append(got, sizes)
	}
	want := [][]int{{128 * k, 128 * k}, {1}, {256 * k}, {1, 128 * k}, {128 * k, 128 * k}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEntriesThatTheQueueDoesNotTakeAreToldByTheirPlace(t *testing.T) {
	s := serve(t)
	sent := numbered(23)
	sent[4], sent[12], sent[22] = "not \x01 allowed", "neither \x02", strings.Repeat("x", 2<<20)
	err := s.Send(t.Context(), sent...)
	partial, ok := errors.AsType[*queue.SendError](err)
	if !ok {
		t.Fatalf("error is %v", err)
	}
	var places []int
	for place, reason := range partial.Failed {
		places = append(places, place)
		if reason == nil || reason.Error() == "" {
			t.Errorf("no reason for %d", place)
		}
	}
	slices.Sort(places)
	if diff := cmp.Diff([]int{4, 12, 22}, places); diff != "" {
		t.Error(diff)
	}
	if text := err.Error(); !strings.Contains(text, "3 messages") || !strings.Contains(text, partial.Failed[4].Error()) {
		t.Errorf("error is %s", text)
	}
	if n := len(s.drain(t)); n != 20 {
		t.Errorf("%d messages arrived", n)
	}
}

func TestAnAnswerThatLeavesOutAMessageIsNoSuccess(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":            `{"Successful":[],"Failed":[]}`,
		"one of two":         `{"Successful":[],"Failed":[{"Id":"0","Code":"InternalError","Message":"later","SenderFault":false}]}`,
		"entries not asked":  `{"Successful":[],"Failed":[{"Id":"0","Code":"E","SenderFault":false},{"Id":"7","Code":"E","SenderFault":false}]}`,
		"ids without number": `{"Successful":[],"Failed":[{"Id":"0","Code":"E","SenderFault":false},{"Id":"x","Code":"E","SenderFault":false}]}`,
	} {
		s := serve(t)
		s.answer = func(string) string { return answer }
		err := s.Send(t.Context(), "a", "b")
		if _, partial := errors.AsType[*queue.SendError](err); err == nil || partial {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestMessagesAreDeletedTenACall(t *testing.T) {
	s := serve(t)
	if err := s.Send(t.Context(), numbered(23)...); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), receipts(s.drain(t))...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{10, 10, 3}, s.deletes); diff != "" {
		t.Error(diff)
	}
	if depth, err := s.Depth(t.Context()); err != nil || depth != (queue.Depth{}) {
		t.Errorf("depth is %+v, error %v", depth, err)
	}
}

func TestAReceiptThatIsNoLongerGoodIsNoErrorButAServiceFaultIs(t *testing.T) {
	s := serve(t)
	if err := s.Send(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	held := receipts(s.drain(t))
	if err := s.Delete(t.Context(), append([]string{"nonsense"}, held...)...); err != nil {
		t.Errorf("error is %v", err)
	}
	if depth, err := s.Depth(t.Context()); err != nil || depth.InFlight != 0 {
		t.Errorf("depth is %+v, error %v: the good receipt was not used", depth, err)
	}
	failures := 0
	s.answer = func(operation string) string {
		if operation != "DeleteMessageBatch" {
			return ""
		}
		failures++
		return `{"Successful":[],"Failed":[{"Id":"0","Code":"InternalError","Message":"try later","SenderFault":false}]}`
	}
	if err := s.Delete(t.Context(), numbered(11)...); err == nil || !strings.Contains(err.Error(), "InternalError: try later") {
		t.Errorf("error is %v", err)
	}
	if failures != 2 {
		t.Errorf("%d calls: one that fails does not keep the next from being tried", failures)
	}
}

func TestAMessageIsHiddenExtendedAndGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := bubble(t)
		receive := func() []queue.Message {
			t.Helper()
			got, err := q.Receive(t.Context(), 1, 0, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		depth := func(want queue.Depth) {
			t.Helper()
			if got, err := q.Depth(t.Context()); err != nil || got != want {
				t.Errorf("depth is %+v, error %v, want %+v", got, err, want)
			}
		}
		extend := func(m queue.Message, d time.Duration) {
			t.Helper()
			if err := q.Extend(t.Context(), m.Receipt, d); err != nil {
				t.Error(err)
			}
		}
		sent := time.Now()
		if err := q.Send(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		first := receive()
		if len(first) != 1 || first[0].Body != "a" || first[0].ReceiveCount != 1 || first[0].ID == "" || first[0].Sent.Sub(sent).Abs() > time.Second {
			t.Fatalf("received %+v", first)
		}
		if again := receive(); len(again) != 0 {
			t.Fatalf("received %+v, which is hidden", again)
		}
		extend(first[0], 500*time.Millisecond) // half a second is not nothing
		depth(queue.Depth{InFlight: 1})
		extend(first[0], 0)
		depth(queue.Depth{Visible: 1})
		if second := receive(); len(second) != 1 || second[0].ReceiveCount != 2 || second[0].ID != first[0].ID {
			t.Errorf("received %+v", second)
		}
		if err := q.Extend(t.Context(), "nonsense", time.Minute); err == nil {
			t.Error("extending nothing is no error")
		}
	})
}

func TestADepthThatIsNotToldIsAnErrorNotZero(t *testing.T) {
	s := serve(t)
	s.answer = func(string) string { return `{"Attributes":{"ApproximateNumberOfMessages":"0"}}` }
	if depth, err := s.Depth(t.Context()); err == nil {
		t.Errorf("depth is %+v", depth)
	}
}

// bubble is a queue whose requests are answered in this process, so that time may be a bubble's.
func bubble(t *testing.T) *queue.Queue {
	t.Helper()
	backend := sqs.New(sqs.Options{Region: "us-east-1", AccountID: "000000000000", Log: zerolog.Nop()})
	client := awssqs.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://sqs.invalid"), HTTPClient: inProcess{backend},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	out, err := client.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: aws.String("q")})
	if err != nil {
		t.Fatal(err)
	}
	return queue.At(client, *out.QueueUrl)
}

type inProcess struct{ handler http.Handler }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	p.handler.ServeHTTP(answer, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := answer.Result()
	response.Request = r
	return response, nil
}

func TestALongPollWaitsForAMessageAndEndsWithItsTimeOrContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := bubble(t)
		start := time.Now()
		if got, err := q.Receive(t.Context(), 10, queue.MaxWait, time.Minute); err != nil || len(got) != 0 || time.Since(start) != queue.MaxWait {
			t.Errorf("received %v, error %v, after %s", got, err, time.Since(start))
		}
		start = time.Now()
		go func() {
			time.Sleep(7 * time.Second)
			if err := q.Send(context.WithoutCancel(t.Context()), "a"); err != nil {
				t.Error(err)
			}
		}()
		if got, err := q.Receive(t.Context(), 10, queue.MaxWait, time.Minute); err != nil || len(got) != 1 || time.Since(start) != 7*time.Second {
			t.Errorf("received %v, error %v, after %s", got, err, time.Since(start))
		}
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := q.Receive(ctx, 10, queue.MaxWait, time.Minute); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("error %v after %s", err, time.Since(start))
		}
	})
}

func TestAMessageComesAgainAfterItsVisibilityTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := bubble(t)
		if err := q.Send(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for _, after := range []time.Duration{0, 2 * time.Second} {
			// Rounded up: a second and a half are two.
			got, err := q.Receive(t.Context(), 1, queue.MaxWait, 1500*time.Millisecond)
			if err != nil || len(got) != 1 || time.Since(start) != after {
				t.Fatalf("received %v, error %v, after %s", got, err, time.Since(start))
			}
		}
	})
}
