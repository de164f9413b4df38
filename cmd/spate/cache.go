package main

import (
	"fmt"
	"math"
	"strings"

	"spate/cache"
	"spate/controller"
)

// cacheCommand is what people ask of the output cache.
type cacheCommand struct {
	Stats   cacheStatsCommand   `cmd:"" help:"Show how the output cache does: how large it is, how far behind, what is found in it."`
	Why     cacheWhyCommand     `cmd:"" help:"Say whether an output is cached, since when and until when; if it is not, why."`
	Verify  cacheVerifyCommand  `cmd:"" help:"Compare what view, ledger and S3 say, output by output."`
	Rebuild cacheRebuildCommand `cmd:"" help:"Build the view anew from the ledger, or the ledger from S3."`
	Forget  cacheForgetCommand  `cmd:"" help:"Take outputs back: their jobs run again when they are needed next."`
}

// Help tells more.
func (c *cacheCommand) Help() string {
	return "An output is cached when its manifest is in S3. That is noted in the ledger, a DynamoDB table; and the view, in Redis, says of a hundred " +
		"thousand jobs at once which of them need not run."
}

// witnesses asks view, ledger and S3 apart from one another.
func (in *installation) witnesses() (w cache.Witnesses, release func(), err error) {
	return controller.Witnesses(in.cfg, in.clients)
}

// splitJob is a job and, where it is written RUN/JOB, its run.
func splitJob(ref string) (run, name string) {
	run, name, ok := strings.Cut(ref, "/")
	if !ok {
		return "", ref
	}
	return run, name
}

// grouped is a number with its digits in groups of three.
func grouped(n int64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// many is a number of things, with its digits in groups.
func many(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return grouped(n) + " " + what
}

// memory is bytes in the unit that leaves few digits.
func memory(bytes int64) string {
	const step = 1024
	x, units := float64(bytes), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for len(units) > 1 && math.Abs(x) >= step {
		x, units = x/step, units[1:]
	}
	if units[0] == "B" || x >= 100 {
		return fmt.Sprintf("%.0f %s", x, units[0])
	}
	return fmt.Sprintf("%.1f %s", x, units[0])
}
