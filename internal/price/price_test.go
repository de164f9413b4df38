package price

import (
	"math"
	"testing"
)

func TestTasksCostWhatThePriceListSays(t *testing.T) {
	for _, test := range []struct {
		name         string
		vcpu, memory float64
		arch         Arch
		spot         bool
		tasks        float64
		want         float64 // an hour
	}{
		{"one vCPU and 2 GB", 1, 2, X86, false, 1, 0.04937},
		{"3,000 of them", 1, 2, X86, false, 3000, 148.11},
		{"3,000 of them on Spot", 1, 2, X86, true, 3000, 44.433},
		{"one of ARM", 1, 2, ARM, false, 1, 0.0395},
		{"16 vCPU and 120 GB of ARM", 16, 120, ARM, false, 1, 0.94528},
		{"nothing", 0, 0, X86, false, 1, 0},
	} {
		if got := test.tasks * float64(TaskPerHour(test.vcpu, test.memory, test.arch, test.spot)); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if ArchOf("linux/arm64") != ARM || ArchOf("linux/amd64") != X86 {
		t.Error("a platform has another architecture than it says")
	}
}

func TestAmountsAsPeopleReadThem(t *testing.T) {
	for amount, want := range map[USD]string{0: "$0", 148.114: "$148.11", 0.5: "$0.50", 0.01234: "$0.0123", 12: "$12.00"} {
		if got := amount.String(); got != want {
			t.Errorf("%v: %s, want %s", float64(amount), got, want)
		}
	}
}
