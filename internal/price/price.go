// Package price says what Fargate tasks cost: the one table of prices.
package price

import "fmt"

// Source names where the prices come from, for whoever reads a figure made of them.
const Source = "AWS Fargate pricing, Linux, us-east-1"

// USD is an amount of US dollars.
type USD float64

// String is the amount in dollars and cents, with more digits below ten cents.
func (u USD) String() string {
	switch {
	case u == 0:
		return "$0"
	case u > -0.1 && u < 0.1:
		return fmt.Sprintf("$%.4f", float64(u))
	}
	return fmt.Sprintf("$%.2f", float64(u))
}

// MinimumSeconds is what is billed of a task at least; beyond it Fargate bills by the second. 20 GB of ephemeral storage
// cost nothing more (AWS Fargate pricing).
const MinimumSeconds = 60

// Arch is the architecture of a task's processor.
type Arch string

// The architectures.
const (
	X86 Arch = "x86"
	ARM Arch = "arm"
)

// ArchOf is the architecture of an image's platform, such as linux/arm64.
func ArchOf(platform string) Arch {
	if platform == "linux/arm64" {
		return ARM
	}
	return X86
}

// spotDiscount is what Spot is cheaper by, about: its price changes with supply and demand (AWS Fargate pricing, "up to
// 70%").
const spotDiscount = 0.7

// TaskPerHour is what one Linux task costs an hour in us-east-1: vcpu in whole ones, memory in GB. On Spot it is about
// that (AWS Fargate pricing).
func TaskPerHour(vcpu, memoryGB float64, arch Arch, spot bool) USD {
	perVCPU, perGB := 0.04048, 0.004445
	if arch == ARM {
		perVCPU, perGB = 0.03238, 0.00356
	}
	perHour := vcpu*perVCPU + memoryGB*perGB
	if spot {
		perHour *= 1 - spotDiscount
	}
	return USD(perHour)
}
