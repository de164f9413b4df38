package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"spate/internal/table"
	"spate/job"
)

// states writes what a record says of epochs 1 to 4.
func states(r Record) string {
	var words []string
	for epoch := int64(1); epoch <= 4; epoch++ {
		if s := r.StateOf(epoch); s != "" {
			words = append(words, fmt.Sprintf("%d %s", epoch, s))
		}
	}
	return strings.Join(words, ", ")
}

func TestTheLifeOfEpochs(t *testing.T) {
	r, begin := Record{}, func(r Record) Record { return r.begin(16) }
	for _, step := range []struct {
		what string
		do   func(Record) Record
		want string
	}{
		{"the first is begun", begin, "1 building"},
		{"Redis is emptied: it is abandoned, another begun", begin, "1 abandoned, 2 building"},
		{"the other is whole", func(r Record) Record { return r.flip(7) }, "1 abandoned, 2 live"},
		{"a rebuild is asked for", begin, "1 abandoned, 2 live, 3 building"},
		{"the follower ends before it is whole", Record.abandon, "1 abandoned, 2 live, 3 abandoned"},
		{"another follower begins anew", begin, "1 abandoned, 2 live, 3 abandoned, 4 building"},
		{"that is whole", func(r Record) Record { return r.flip(9) }, "1 abandoned, 2 retired, 3 abandoned, 4 live"},
		{"remains are removed", func(r Record) Record { return r.cleared(1).cleared(3) }, "1 retired, 2 retired, 3 retired, 4 live"},
		{"the live one proves lost", Record.retire, "1 retired, 2 retired, 3 retired, 4 retired"},
	} {
		before := states(r)
		next := step.do(r)
		if states(r) != before {
			t.Fatalf("%s: the transition changed the record it began with", step.what)
		}
		r = next
		if got := states(r); got != step.want {
			t.Fatalf("%s:\n got %s\nwant %s", step.what, got, step.want)
		}
	}
	if r.Live != 0 || r.Sequence != 0 || len(r.Dead) != 2 {
		t.Errorf("record is %+v", r)
	}
}

func TestWhatIsRememberedOfAnEpochNeverGoesBack(t *testing.T) {
	h := newHouse(t)
	e := h.Epochs
	e.keep(start.Add(time.Hour))
	e.confirm(Mark{Epoch: 2, Sequence: 10})
	if !e.doubt(2) || e.doubt(2) {
		t.Error("an epoch becomes suspect once")
	}
	if got, _ := e.confirm(Mark{Epoch: 2, Sequence: 5}); got != (Mark{Epoch: 2, Sequence: 10}) {
		t.Errorf("after a confirmation from an older record the mark is %v", got)
	}
	if got, _ := e.confirm(Mark{Epoch: 1, Sequence: 99}); got != (Mark{Epoch: 2, Sequence: 10}) {
		t.Errorf("after a confirmation of an older epoch the mark is %v", got)
	}
	if e.doubt(1) || e.State() != StateLive {
		t.Error("doubt of an older epoch is not about this one")
	}
	if got, _ := e.confirm(Mark{Epoch: 3, Sequence: 1}); got != (Mark{Epoch: 3, Sequence: 1}) {
		t.Errorf("after a newer epoch the mark is %v", got)
	}
}

func TestTheEpochRecordIsWrittenByOneFollowerAtATime(t *testing.T) {
	h := newHouse(t)
	first, second := saver{records: h.records, follower: "first"}, saver{records: h.records, follower: "second"}
	if err := first.save(t.Context(), first.current.begin(17)); err != nil {
		t.Fatal(err)
	}
	lost := first // its next answer will be lost: it does not know that it has written
	if err := first.save(t.Context(), first.current.flip(1)); err != nil {
		t.Fatal(err)
	}
	if err := lost.save(t.Context(), lost.current.flip(1)); err != nil {
		t.Errorf("a follower does not know its own write again: %v", err)
	}
	if err := second.save(t.Context(), second.current.begin(17)); !errors.Is(err, ErrSuperseded) {
		t.Errorf("error is %v, want %v", err, ErrSuperseded)
	}
	if err := h.records.SaveEpoch(t.Context(), Record{Version: 1}); !errors.Is(err, table.ErrCondition) {
		t.Errorf("error is %v, want %v", err, table.ErrCondition)
	}
	record, found, err := h.records.LoadEpoch(t.Context())
	if err != nil || !found || record.Live != 1 || record.Follower != "first" || record.Version != 3 {
		t.Errorf("record is %+v, found %v, error %v", record, found, err)
	}
}

// savingRecords calls back before an epoch record is written, as long as there is something to call.
type savingRecords struct {
	Records
	before func() error
}

func (r *savingRecords) SaveEpoch(ctx context.Context, record Record) error {
	if r.before != nil {
		if err := r.before(); err != nil {
			return err
		}
	}
	return r.Records.SaveEpoch(ctx, record)
}

func TestALookUpBeforeTheRecordSaysThatAnEpochIsRetiredDoesNotReviveIt(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(1, 50)...)
	h.settle()
	records := &savingRecords{Records: h.records}
	h.session.records = records
	looked := false
	records.before = func() error {
		if !looked {
			looked = true
			if mark, answers := h.Epochs.Current(t.Context(), h.now.Add(2*reloadInterval)); answers {
				t.Errorf("epoch %d answers while it is being retired", mark.Epoch)
			}
		}
		return nil
	}
	if err := h.session.lose(t.Context(), errors.New("its count is wrong")); err != nil || !looked {
		t.Fatalf("error is %v, looked %v", err, looked)
	}
	h.faults.set(func(f *faults) { f.scan = func(int32) error { return throttled } }) // no other goes live
	h.session.cleared = h.now.Add(time.Hour)                                          // and its keys stay
	if err := h.Ledger.Write(t.Context(), nil, testKeys(1, 2)); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		_ = h.follow()
	}
	if got := h.view(testKey(1))[0]; got == job.Hit {
		t.Error("a retired epoch answers with an output that was removed since")
	}
	h.faults.set(func(f *faults) { f.scan = nil })
	h.settle()
	all(t, h.view(testKeys(2, 50)...), job.Hit)
	all(t, h.view(testKey(1)), job.Miss)
}

func TestAnEpochThatIsRetiredIsSaidToBeSoOnceTheRecordCanBeWritten(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(1, 50)...)
	h.settle()
	epoch := h.liveEpoch()
	records := &savingRecords{Records: h.records, before: func() error { return errTimeout }}
	h.session.records = records
	if err := h.session.lose(t.Context(), errors.New("its count is wrong")); !errors.Is(err, errTimeout) {
		t.Fatalf("error is %v, want %v", err, errTimeout)
	}
	records.before = nil
	h.faults.set(func(f *faults) { f.scan = func(int32) error { return throttled } })
	for range 5 {
		_ = h.follow()
	}
	if live := h.liveEpoch(); live != 0 {
		t.Errorf("the record calls epoch %d live, %d is retired", live, epoch)
	}
	all(t, h.process().askView(t.Context(), h.now, testKeys(1, 50)), job.Unknown)
	h.faults.set(func(f *faults) { f.scan = nil })
	h.settle()
}
