package cache

import (
	"strconv"

	"spate/job"
)

// Bounds of what is sent at once. Serverless offerings of Redis take at most 3,999 arguments a command.
const (
	maxCommands = 1000 // of one pipeline or transaction
	maxMembers  = 3000 // of one command
)

// entry is a key as it is sent to Redis.
type entry struct {
	member int64
	bucket uint32
	index  uint32 // in the caller's keys
}

// group is the keys of one command: all of one bucket, maxMembers at most.
type group []entry

// groups sorts keys by bucket, in time proportional to their number: a digit of a bucket's bits at a time, the lower
// first. Redis waits meanwhile, and comparing took a third of a look-up.
func groups(bits BucketBits, keys []job.Key) []group {
	if len(keys) == 0 {
		return nil
	}
	const digit = 1 << (maxBucketBits / 2)
	entries, sorted := make([]entry, len(keys)), make([]entry, len(keys))
	var lower, upper [digit]int
	for i, k := range keys {
		e := entry{bits.member(k), bits.bucket(k), uint32(i)}
		entries[i] = e
		lower[e.bucket%digit]++
		upper[e.bucket/digit]++
	}
	distribute(entries, sorted, places(lower[:]), func(e entry) uint32 { return e.bucket % digit })
	distribute(sorted, entries, places(upper[:]), func(e entry) uint32 { return e.bucket / digit })
	out := make([]group, 0, min(len(keys), bits.buckets()))
	for start := 0; start < len(entries); {
		end := start + 1
		for end < len(entries) && end-start < maxMembers && entries[end].bucket == entries[start].bucket {
			end++
		}
		out = append(out, entries[start:end])
		start = end
	}
	return out
}

// places turns how often each digit comes into where its first goes.
func places(counts []int) []int {
	sum := 0
	for i, n := range counts {
		counts[i] = sum
		sum += n
	}
	return counts
}

func distribute(from, to []entry, places []int, digit func(entry) uint32) {
	for _, e := range from {
		d := digit(e)
		to[places[d]] = e
		places[d]++
	}
}

// command is one of a pipeline: what to do with the members of one bucket.
type command struct {
	name string
	group
}

func commands(name string, groups []group) []command {
	out := make([]command, len(groups))
	for i, g := range groups {
		out[i] = command{name, g}
	}
	return out
}

// arguments are those of each command of a pipeline. They share their memory: a look-up has hundreds of thousands.
func (v *View) arguments(epoch int64, pipeline []command) [][]any {
	members := 0
	for _, c := range pipeline {
		members += len(c.group)
	}
	all, out := make([]any, 0, members+2*len(pipeline)), make([][]any, len(pipeline))
	for i, c := range pipeline {
		start := len(all)
		all = append(all, c.name, v.bucketKey(epoch, c.group[0].bucket))
		for j := range c.group {
			all = append(all, &c.group[j].member) // a pointer needs no allocation of its own
		}
		out[i] = all[start:len(all):len(all)]
	}
	return out
}

// bucketKey names a bucket with four hexadecimal digits or more.
func (v *View) bucketKey(epoch int64, bucket uint32) string {
	var room [96]byte
	name := append(room[:0], v.prefix...)
	name = strconv.AppendInt(name, epoch, 10)
	name = append(name, ':')
	for floor := uint32(0x1000); floor > 1 && bucket < floor; floor >>= 4 {
		name = append(name, '0')
	}
	return string(strconv.AppendUint(name, uint64(bucket), 16))
}
