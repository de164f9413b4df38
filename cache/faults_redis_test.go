package cache

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"spate/job"
)

// inWorld runs a test with a leader and a reader in virtual time, once the leader's view is live and has the outputs.
func inWorld(t *testing.T, outputs []job.Key, test func(w *world, leader, reader *process)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, retention)
		defer w.leave()
		for _, k := range outputs {
			w.publish(k)
		}
		leader, reader := w.start(), w.join()
		w.says(reader, job.Hit, outputs...)
		test(w, leader, reader)
	})
}

// says waits until the view, asked by a process, says the same of all keys.
func (w *world) says(p *process, want job.Presence, keys ...job.Key) {
	w.t.Helper()
	var got []job.Presence
	for range 600 {
		got = p.askView(w.t.Context(), time.Now(), keys)
		same := true
		for _, g := range got {
			same = same && g == want
		}
		if same {
			return
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("after ten minutes the view says %v, want %s", got, want)
}

// never checks, while time passes, that no key is ever said to be so.
func (w *world) never(d time.Duration, p *process, not job.Presence, keys ...job.Key) {
	w.t.Helper()
	for until := time.Now().Add(d); ; time.Sleep(time.Second) {
		for i, got := range p.askView(w.t.Context(), time.Now(), keys) {
			if got == not {
				w.t.Fatalf("the view calls %s a %s", keys[i].Short(), got)
			}
		}
		if !time.Now().Before(until) {
			return
		}
	}
}

func TestTimeoutsOnAThirdOfWhatRedisIsSentLoseNothing(t *testing.T) {
	kept, gone, later := testKeys(0, 10), testKeys(10, 20), testKeys(20, 30)
	inWorld(t, append(kept, gone...), func(w *world, leader, reader *process) {
		w.set(func() { w.loss = 1. / 3 })
		for i, k := range gone {
			w.remove(k)
			w.publish(later[i])
			w.never(5*time.Second, reader, job.Miss, kept...)
		}
		for range 5 { // each look-up has an answer, from the ledger where Redis has none
			all(w.t, reader.Lookup(w.t.Context(), kept), job.Hit)
		}
		w.set(func() { w.loss = 0 })
		w.says(reader, job.Hit, append(kept, later...)...)
		w.says(reader, job.Miss, gone...)
		if n := leader.Epochs.State(); n != StateLive {
			t.Errorf("the epoch is %s", n)
		}
	})
}

func TestARedisThatIsFullForAnHourAnswersNothingOldAndCatchesUp(t *testing.T) {
	kept, gone, later := testKeys(0, 10), testKeys(10, 20), testKeys(20, 30)
	inWorld(t, append(kept, gone...), func(w *world, _, reader *process) {
		w.set(func() { w.full = true })
		for i, k := range gone {
			w.remove(k)
			w.publish(later[i])
		}
		time.Sleep(staleAfter + 10*time.Second)
		w.never(time.Hour, reader, job.Hit, gone...)
		all(w.t, reader.Lookup(w.t.Context(), gone), job.Miss)
		all(w.t, reader.Lookup(w.t.Context(), append(kept, later...)), job.Hit)
		w.set(func() { w.full = false })
		w.says(reader, job.Hit, append(kept, later...)...)
		w.says(reader, job.Miss, gone...)
	})
}

// The same with Redis's own memory limit.
func TestARealRedisWithoutMemoryRefusesTheWholeBatch(t *testing.T) {
	client := openRedis(t)
	if err := client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
		t.Skip("this Redis has no memory limit")
	}
	h := newHouseOn(t, client)
	h.put(testKeys(0, 20)...)
	h.settle()
	h.put(testKeys(20, 40)...)
	if err := h.Ledger.Write(t.Context(), nil, testKeys(0, 5)); err != nil {
		t.Fatal(err)
	}
	limit := func(bytes string) {
		if err := client.ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	refused := 0
	for range 5 {
		if err := h.follow(); err != nil {
			if !strings.Contains(err.Error(), "OOM") && !strings.Contains(err.Error(), "EXECABORT") {
				t.Fatal(err)
			}
			refused++
		}
	}
	if refused == 0 {
		t.Fatal("Redis took what it has no room for")
	}
	limit("0")
	before := h.liveEpoch()
	h.settle()
	all(t, h.view(testKeys(0, 5)...), job.Miss)
	all(t, h.view(testKeys(5, 40)...), job.Hit)
	if h.liveEpoch() != before {
		t.Error("the epoch was given up, of which nothing is lost")
	}
}

func TestAFailoverToASnapshotTenMinutesOldIsUnknownUntilTheViewIsBuiltAnew(t *testing.T) {
	if testing.Short() {
		t.Skip("ten minutes")
	}
	kept, gone, later := testKeys(0, 10), testKeys(10, 20), testKeys(20, 30)
	inWorld(t, append(kept, gone...), func(w *world, leader, reader *process) {
		if err := w.box.SaveRedis(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, k := range gone {
			w.remove(k)
			w.publish(later[i])
		}
		time.Sleep(10 * time.Minute)
		w.says(reader, job.Miss, gone...)
		if err := w.box.RestoreRedis(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*process{reader, w.join(), leader} { // one that remembers, one that does not, and the one that wrote
			w.never(0, p, job.Hit, gone...)
		}
		w.never(30*time.Second, reader, job.Hit, gone...)
		w.never(30*time.Second, w.join(), job.Miss, later...)
		w.says(reader, job.Hit, append(kept, later...)...)
		w.says(reader, job.Miss, gone...)
	})
}

func TestNotificationsThatComeDaysLateEndWithWhatS3Holds(t *testing.T) {
	gone, kept := testKeys(0, 5), testKeys(5, 10)
	inWorld(t, append(gone, kept...), func(w *world, leader, reader *process) {
		for _, k := range gone {
			w.remove(k)
		}
		w.says(reader, job.Miss, gone...)
		leader.stop()
		time.Sleep(3 * 24 * time.Hour)
		for i, k := range gone { // that the one was made, and that the other was removed
			for _, body := range []string{createdBody(job.ManifestPath(k)), removedBody(job.ManifestPath(kept[i]))} {
				if _, err := w.clients.SQS.SendMessage(w.t.Context(), &sqs.SendMessageInput{QueueUrl: &w.queueURL, MessageBody: aws.String(body)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.start()
		w.says(reader, job.Hit, kept...)
		w.never(time.Minute, reader, job.Hit, gone...)
		w.never(time.Minute, reader, job.Miss, kept...)
		if got := w.waiting(); got != "0 and 0" {
			t.Errorf("%s notifications wait", got)
		}
	})
}
