package scaler

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

func TestStopsAreCountedByReasonWithoutIDs(t *testing.T) {
	var counts []StopCount
	for i, reason := range []string{
		"CannotPullContainerError: failed to resolve ref 123456789012.dkr.ecr.eu-west-1.amazonaws.com/spate:7: not found",
		"exit code 137: OutOfMemoryError: Container killed due to memory usage",
		"CannotPullContainerError: failed to resolve ref 210987654321.dkr.ecr.eu-west-1.amazonaws.com/spate:7: not found",
		"ResourceInitializationError: dial tcp 10.0.3.17:443: i/o timeout, eni-0123456789abcdef0,\n request id: 9cf1881e-14d7-4257-b4a8-be9b56e09e3c",
	} {
		counts = countStop(counts, planNow.Add(time.Duration(i)*time.Second), reason)
	}
	want := []StopCount{
		{Reason: "ResourceInitializationError: dial tcp …: i/o timeout, …, request id: …", Count: 1, Last: planNow.Add(3 * time.Second)},
		{Reason: "CannotPullContainerError: failed to resolve ref ….dkr.ecr.eu-west-1.amazonaws.com/spate:7: not found", Count: 2, Last: planNow.Add(2 * time.Second)},
		{Reason: "exit code 137: OutOfMemoryError: Container killed due to memory usage", Count: 1, Last: planNow.Add(time.Second)},
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("stops (-want +got):\n%s", diff)
	}
}

func TestStopsAreKeptOfTenReasonsAtMost(t *testing.T) {
	var counts []StopCount
	for i := range 30 {
		counts = countStop(counts, planNow.Add(time.Duration(i)*time.Second), string(rune('a'+i))+strings.Repeat(" long", 100))
	}
	if len(counts) != maxStops || !counts[0].Last.Equal(planNow.Add(29*time.Second)) {
		t.Errorf("%d kept, the newest of %s", len(counts), counts[0].Last)
	}
	for _, c := range counts {
		if n := len([]rune(c.Reason)); n > maxStopReason {
			t.Errorf("a reason of %d characters", n)
		}
	}
}

func TestATaskThatFindsItsSubnetFullKeepsTheNextOnesFromIt(t *testing.T) {
	p := &pool{Pool: Pool{Subnets: []string{"subnet-a", "subnet-b"}}, log: zerolog.Nop()}
	launched := planNow.Add(-20 * time.Second)
	for _, reason := range []string{
		"Timeout waiting for network interface provisioning to complete.",
		"Error retrieving subnet information for [subnet-b]: Request limit exceeded. (ErrorCode: RequestLimitExceeded)",
		"Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-a': InsufficientFreeAddressesInSubnet",
	} {
		p.depart(planNow, departure{fate: fateFailed, code: "TaskFailedToStart", reason: reason, created: launched})
	}
	if got := p.rooms.open(planNow, p.Subnets); len(got) != 1 || got[0] != "subnet-b" {
		t.Errorf("launched in %v", got)
	}
	if n := len(p.breakers.crashes); n != 1 {
		t.Errorf("%d crashes, want that of the first alone", n)
	}
}

func TestCodesOfUnknownErrorsAreBounded(t *testing.T) {
	m := newMetrics(nil)
	if got := m.label("NewException"); got != "NewException" {
		t.Errorf("label %q", got)
	}
	for _, odd := range []string{"", "a sentence", "x\n", strings.Repeat("x", 65), "é"} {
		if got := m.label(odd); got != "other" {
			t.Errorf("label of %q: %q", odd, got)
		}
	}
	labels := map[string]bool{}
	for i := range 1000 {
		labels[m.label("Code"+string(rune('A'+i%26))+string(rune('A'+i/26%26)))] = true
	}
	if len(labels) > maxCodes || m.label("NewException") != "NewException" {
		t.Errorf("%d labels", len(labels))
	}
}
