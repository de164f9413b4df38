package planner

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"spate/job"
)

// Bounds of how many of a run's hits are verified before the run rests on them, where that is neither none nor all.
const (
	verifyLeast = 10
	verifyMost  = 1000
	// verifyFailures is after how many failures S3 is asked no more: the run does not wait for it.
	verifyFailures = 8
)

// hitsToVerify is how many of so many hits a share comes to.
func hitsToVerify(hits int, share float64) int {
	switch {
	case share <= 0:
		return 0
	case share >= 1:
		return hits
	}
	n := int(math.Ceil(share * float64(hits)))
	return min(max(n, verifyLeast), verifyMost, hits)
}

// Values of the labels when and answer of the metric of verified hits.
const (
	verifiedAtIntake = "intake"
	verifiedAtClose  = "close"

	answerRight   = "right"
	answerWrong   = "wrong"
	answerUnknown = "unknown"
)

// verify looks in S3 for a sample of the outputs of which the cache says that they exist, and for all of them when it is
// wrong about one. It returns those that are left: outputs that S3 denies are forgotten. Where S3 cannot tell, the cache is
// believed: the run's end looks again. The error is ctx's.
func (p *Planner) verify(ctx context.Context, a *activeRun, hits []int32) ([]int32, error) {
	sample := hitsToVerify(len(hits), p.VerifyHits)
	if sample == 0 {
		return hits, ctx.Err()
	}
	order := slices.Clone(hits)
	for i := range sample { // others each time
		j := i + rand.IntN(len(order)-i)
		order[i], order[j] = order[j], order[i]
	}
	wrong := p.verifyAll(ctx, a, order[:sample])
	if len(wrong) > 0 && sample < len(order) {
		p.Log.Warn().Str("run", a.ID).Int("verified", sample).Int("wrong", len(wrong)).
			Msg("the cache told of outputs that do not exist: verifying all that it told of")
		wrong = append(wrong, p.verifyAll(ctx, a, order[sample:])...)
	}
	if len(wrong) == 0 {
		return hits, ctx.Err()
	}
	p.Log.Warn().Str("run", a.ID).Int("wrong", len(wrong)).Int("hits", len(hits)).Msg("outputs that the cache told of do not exist; making them again")
	for _, n := range wrong {
		p.recent.remove(a.graph.Key(n))
	}
	p.forget(ctx, a, wrong)
	gone := make(map[int32]bool, len(wrong))
	for _, n := range wrong {
		gone[n] = true
	}
	return slices.DeleteFunc(hits, func(n int32) bool { return gone[n] }), ctx.Err()
}

// verifyAll returns the nodes whose output S3 denies.
func (p *Planner) verifyAll(ctx context.Context, a *activeRun, nodes []int32) (wrong []int32) {
	answers := make([]string, len(nodes))
	var failed atomic.Int64
	var group errgroup.Group
	group.SetLimit(headLookups)
	for i, n := range nodes {
		group.Go(func() error {
			answers[i] = answerUnknown
			if failed.Load() >= verifyFailures {
				return nil
			}
			exists, err := p.exists(ctx, a.graph.Key(n), job.Replaced{})
			if err != nil {
				failed.Add(1)
				return err
			}
			answers[i] = answerWrong
			if exists {
				answers[i] = answerRight
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		p.Log.Warn().Err(err).Str("run", a.ID).Msg("S3 cannot tell whether some outputs exist; believing the cache until the run ends")
	}
	for i, answer := range answers {
		p.metrics.verified.WithLabelValues(verifiedAtIntake, answer).Inc()
		if answer == answerWrong {
			wrong = append(wrong, nodes[i])
		}
	}
	return wrong
}

// countClosing counts what S3 said, at a run's end, of the outputs that only the cache had told of.
func (p *Planner) countClosing(a *activeRun, nodes []int32, exist []bool) {
	for i, n := range nodes {
		if a.graph.State(n) != job.Cached {
			continue
		}
		answer := answerWrong
		if exist[i] {
			answer = answerRight
		}
		p.metrics.verified.WithLabelValues(verifiedAtClose, answer).Inc()
	}
}

// use tells the cache on which outputs a run rests. It begins anywhere, so that it is not always the same ones that are left
// out when the cache cannot take all.
func (p *Planner) use(a *activeRun, nodes []int32) {
	if len(nodes) == 0 {
		return
	}
	first := rand.IntN(len(nodes))
	keys := make([]job.Key, 0, min(lookupChunk, len(nodes)))
	for _, part := range [][]int32{nodes[first:], nodes[:first]} {
		for chunk := range slices.Chunk(part, lookupChunk) {
			keys = keys[:0]
			for _, n := range chunk {
				keys = append(keys, a.graph.Key(n))
			}
			p.Outputs.Used(keys)
		}
	}
}
