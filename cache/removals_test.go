package cache

import (
	"errors"
	"maps"
	"math/rand/v2"
	"testing"

	"spate/job"
)

// scanModel is a build over a ledger of numbered outputs, a few to a page, some pages to a segment.
type scanModel struct {
	removals
	ledger, epoch map[job.Key]bool
	keys          [][][]job.Key // by segment and page
	under         [][]job.Key   // that each segment has read and not written
	reading       []bool
	ended         []int64
}

func newScanModel(segments, pages int) *scanModel {
	m := &scanModel{removals: removals{most: 1000}, ledger: map[job.Key]bool{}, epoch: map[job.Key]bool{}}
	all := testKeys(0, segments*pages*3)
	for range segments {
		var segment [][]job.Key
		for range pages {
			segment = append(segment, all[:3])
			all = all[3:]
		}
		m.keys = append(m.keys, segment)
	}
	for _, segment := range m.keys {
		for _, page := range segment {
			for _, k := range page {
				m.ledger[k] = true
			}
		}
	}
	m.under, m.reading, m.ended = make([][]job.Key, segments), make([]bool, segments), make([]int64, segments)
	return m
}

// step lets a segment read its next page, or write the one that it has read.
func (m *scanModel) step(segment int) {
	done := m.ended[segment]
	switch {
	case done == segmentDone:
	case !m.reading[segment]:
		m.reading[segment], m.under[segment] = true, nil
		for _, k := range m.keys[segment][done] {
			if m.ledger[k] {
				m.under[segment] = append(m.under[segment], k)
			}
		}
	default:
		for _, k := range m.under[segment] {
			m.epoch[k] = true
		}
		m.reading[segment] = false
		if m.ended[segment]++; int(m.ended[segment]) == len(m.keys[segment]) {
			m.ended[segment] = segmentDone
		}
	}
}

func (m *scanModel) remove(k job.Key) {
	delete(m.ledger, k)
	if err := m.note([]job.Key{k}); err != nil {
		panic(err)
	}
	delete(m.epoch, k)
}

// again applies again what is ripe, and reports whether anything was.
func (m *scanModel) again() bool {
	keys := m.ripe(m.ended)
	for _, k := range keys {
		if delete(m.epoch, k); m.ledger[k] {
			m.epoch[k] = true
		}
	}
	m.forget(len(keys))
	return len(keys) > 0
}

func TestARemovalIsForgottenOnlyWhenNoScanCanUndoIt(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 0))
		m := newScanModel(3, 5)
		all := testKeys(0, 3*5*3)
		for range 200 {
			switch random.IntN(5) {
			case 0:
				m.remove(all[random.IntN(len(all))])
			case 1:
				k := all[random.IntN(len(all))]
				m.ledger[k], m.epoch[k] = true, true // an output is made anew
			case 2:
				m.again()
			default:
				m.step(random.IntN(3))
			}
		}
		for segment := range 3 {
			for range 10 {
				m.step(segment)
			}
		}
		for m.again() {
		}
		if m.len() != 0 || !maps.Equal(m.epoch, m.ledger) {
			t.Fatalf("seed %d: the epoch has %d outputs, the ledger %d; %d removals are left", seed, len(m.epoch), len(m.ledger), m.len())
		}
	}
}

func TestABuildRemembersTheRemovalsOfTwoPagesOnly(t *testing.T) {
	const segments, pages = 4, 100
	m, most := newScanModel(segments, pages), 0
	all := testKeys(0, segments*pages*3)
	for page := range pages {
		for segment := range segments {
			m.step(segment)
			m.remove(all[3*page+segment/2])
			m.step(segment)
		}
		m.again()
		most = max(most, m.len())
	}
	if most == 0 || most > 2*segments {
		t.Errorf("%d removals were remembered at once, of %d; want at most those of two pages", most, segments*pages)
	}
}

func TestABuildThatWouldRememberTooManyRemovalsIsGivenUp(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 40)...)
	halfBuilt(t, h) // two segments hang
	building := h.session.current.Building
	h.session.build.removed.most = 4
	if err := h.Ledger.Write(t.Context(), nil, testKeys(0, 5)); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 3 {
		if err = h.follow(); err != nil {
			break
		}
	}
	if !errors.Is(err, errRestlessBuild) {
		t.Fatalf("error is %v", err)
	}
	if s := h.Follower.BuildStatus(); s.Building || s.Error == "" {
		t.Errorf("status is %+v", s)
	}
	h.faults.set(func(f *faults) { f.scan = nil })
	h.session.buildAfter = h.session.buildAfter.Add(-buildPause)
	h.settle()
	if h.liveEpoch() <= building {
		t.Fatalf("epoch %d is live, want a later one than %d", h.liveEpoch(), building)
	}
	all(t, h.view(testKeys(0, 5)...), job.Miss)
	all(t, h.view(testKeys(5, 40)...), job.Hit)
}
