package scaler

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"spate/internal/awsclient"
)

const noCapacity = "Capacity is unavailable at this time. Please try again later or in a different availability zone"

func without(reason string) Outcome {
	return Outcome{Failures: []Failure{{Class: awsclient.ClassifyFailure(reason), Reason: reason}}}
}

func TestAProviderWithoutRoomIsLeftAloneForLongerEachTimeAndTriedByOneRequest(t *testing.T) {
	var r rooms
	now := planNow
	for _, seconds := range []int{15, 30, 60, 120, 240, 300, 300} {
		want := time.Duration(seconds) * time.Second
		r.answered(now, "FARGATE_SPOT", without(noCapacity))
		r.answered(now.Add(time.Second), "FARGATE_SPOT", without(noCapacity)) // a call of the same time
		h := r.holds(now, []string{"subnet-a"})
		if len(h) != 1 || h[0].Trial != 0 || h[0].Until.Sub(now) != want || h[0].Reason != noCapacity {
			t.Fatalf("want %s: %+v", want, h)
		}
		now = h[0].Until
		if h := r.holds(now, []string{"subnet-a"}); len(h) != 1 || h[0].Trial != maxTasksPerCall {
			t.Fatalf("no trial: %+v", h)
		}
		r.launching(now, []Launch{{Provider: "FARGATE_SPOT", Count: 10}})
		if h := r.holds(now, []string{"subnet-a"}); len(h) != 1 || h[0].Trial != 0 {
			t.Fatalf("two trials: %+v", h)
		}
	}
	r.answered(now, "FARGATE_SPOT", Outcome{Tasks: []string{"a"}})
	if h := r.holds(now, []string{"subnet-a"}); len(h) != 0 {
		t.Errorf("after a launch: %+v", h)
	}
	r.answered(now, "FARGATE_SPOT", without(noCapacity))
	if h := r.holds(now, []string{"subnet-a"}); h[0].Until.Sub(now) != lackFirst {
		t.Errorf("the next time: %+v", h)
	}
}

func TestTheTwoCausesOfOneReasonAreBothNamed(t *testing.T) {
	var r rooms
	r.answered(planNow, "FARGATE", without("RESOURCE:ENI"))
	want := "RESOURCE:ENI: the subnets have no free addresses, or the Region's network interfaces are used up: look at the free addresses of the pool's subnets " +
		"(`aws ec2 describe-subnets`), and at the quota L-DF5E4CA3, Network interfaces per Region"
	if h := r.holds(planNow, []string{"subnet-a"}); len(h) != 1 || h[0].Limit != LimitCapacity || h[0].Reason != want {
		t.Errorf("%+v", h)
	}
	known := "RESOURCE:ENI: subnet-0a does not have enough free addresses to satisfy the request."
	r = rooms{}
	r.answered(planNow, "FARGATE", without(known))
	if h := r.holds(planNow, []string{"subnet-0a"}); len(h) != 1 || h[0].Limit != LimitAddresses || h[0].Reason != known {
		t.Errorf("%+v", h)
	}
}

func TestATrialThatIsNeverHeardOfIsMadeAgain(t *testing.T) {
	var r rooms
	r.answered(planNow, "FARGATE", without(noCapacity))
	at := planNow.Add(lackFirst)
	r.launching(at, []Launch{{Provider: "FARGATE", Count: 1}})
	if h := r.holds(at.Add(tryMost-1), []string{"subnet-a"}); h[0].Trial != 0 {
		t.Errorf("within a minute: %+v", h)
	}
	if h := r.holds(at.Add(tryMost), []string{"subnet-a"}); h[0].Trial == 0 {
		t.Errorf("after it: %+v", h)
	}
}

func TestSubnetsWithoutAddressesAreNotNamedUntilTheirTimeHasCome(t *testing.T) {
	var r rooms
	all := []string{"subnet-a", "subnet-b"}
	full := func(at time.Time, subnet string) {
		r.answered(at, "FARGATE", without("RESOURCE:ENI: "+subnet+" does not have enough free addresses to satisfy the request."))
	}
	full(planNow, "subnet-a")
	if open := r.open(planNow, all); !slices.Equal(open, []string{"subnet-b"}) || len(r.holds(planNow, all)) != 0 {
		t.Errorf("open are %v, held %v", open, r.holds(planNow, all))
	}
	full(planNow.Add(5*time.Second), "subnet-b")
	h := r.holds(planNow.Add(5*time.Second), all)
	if len(h) != 1 || h[0].Provider != "" || h[0].Limit != LimitAddresses || !h[0].Until.Equal(planNow.Add(lackFirst)) ||
		!strings.HasPrefix(h[0].Reason, "none of the 2 subnets has room: RESOURCE:ENI: subnet-a") {
		t.Errorf("both full: %+v", h)
	}
	if open := r.open(planNow.Add(lackFirst), all); !slices.Equal(open, all[:1]) {
		t.Errorf("after 15 s open are %v", open)
	}
	full(planNow.Add(16*time.Second), "subnet-a")
	if open := r.open(planNow.Add(45*time.Second), all); !slices.Equal(open, all[1:]) {
		t.Errorf("after 45 s open are %v", open)
	}
	r.forget(planNow.Add(time.Hour))
	full(planNow.Add(time.Hour), "subnet-a")
	if open := r.open(planNow.Add(time.Hour+lackFirst), all); !slices.Equal(open, all) {
		t.Errorf("a new lack lasts as long as the old ones: open are %v", open)
	}
}

func TestAnotherProviderTakesOverFromOneWithoutRoomAndBackWhenThereIsSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 300)
		s.pool.Capacity = []Capacity{{Provider: "FARGATE_SPOT", Max: 300}, {Provider: "FARGATE", Max: 150}}
		full := true
		s.ecs.partial = func(in *ecs.RunTaskInput) (int, string) {
			if full && aws.ToString(in.CapacityProviderStrategy[0].CapacityProvider) == "FARGATE_SPOT" {
				return 0, noCapacity
			}
			return maxTasksPerCall, ""
		}
		s.start()
		s.until("150 on the other provider", time.Minute, s.launchedIs(150))
		before := s.ecs.called("RunTask")
		time.Sleep(10 * time.Minute)
		if calls := s.ecs.called("RunTask") - before; calls < 2 || calls > 6 {
			t.Errorf("%d calls in ten minutes to a provider without room", calls)
		}
		if got := s.journal.status("rollup"); got.Limit != LimitCapacity || !strings.Contains(got.Reason, "Capacity is unavailable") {
			t.Errorf("status %s: %s", got.Limit, got.Reason)
		}
		s.ecs.set(func() { full = false })
		s.until("all", 6*time.Minute, s.launchedIs(300))
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRequestsNameTheSubnetsThatHaveAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 200)
		s.pool.Subnets = []string{"subnet-a", "subnet-b", "subnet-c"}
		named := map[string]int{}
		s.ecs.partial = func(in *ecs.RunTaskInput) (int, string) {
			subnets := in.NetworkConfiguration.AwsvpcConfiguration.Subnets
			for _, name := range subnets {
				named[name]++
			}
			for _, crowded := range []string{"subnet-a", "subnet-b"} {
				if slices.Contains(subnets, crowded) {
					return 0, "RESOURCE:ENI: " + crowded + " does not have enough free addresses to satisfy the request."
				}
			}
			return maxTasksPerCall, ""
		}
		s.start()
		s.until("200 workers", 2*time.Minute, s.launchedIs(200))
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if named["subnet-c"] <= named["subnet-a"] || named["subnet-a"] == 0 {
			t.Errorf("named %v", named)
		}
	})
}
