package sqs

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits from "Amazon SQS quotas" and the API reference.
const (
	maxVisibility     = 12 * time.Hour
	maxDelay          = 15 * time.Minute
	maxWait           = 20 * time.Second
	minRetention      = time.Minute
	maxRetention      = 14 * 24 * time.Hour
	minMessageBytes   = 1 << 10
	maxMessageBytes   = 1 << 20
	maxReceivesLimit  = 1000
	maxInFlight       = 120_000
	maxBatch          = 10
	defaultBytes      = 256 << 10
	defaultRetention  = 4 * 24 * time.Hour
	defaultVisibility = 30 * time.Second
)

func defaultSettings() settings {
	return settings{
		visibility: defaultVisibility, retention: defaultRetention, maxBytes: defaultBytes,
	}
}

// apply reads queue attributes as clients set them. The receiver is unchanged
// when there is an error.
func (s *settings) apply(attributes map[string]string) error {
	next := *s
	for name, value := range attributes {
		var err error
		switch name {
		case "VisibilityTimeout":
			next.visibility, err = seconds(name, value, 0, maxVisibility)
		case "DelaySeconds":
			next.delay, err = seconds(name, value, 0, maxDelay)
		case "MessageRetentionPeriod":
			next.retention, err = seconds(name, value, minRetention, maxRetention)
		case "ReceiveMessageWaitTimeSeconds":
			next.wait, err = seconds(name, value, 0, maxWait)
		case "MaximumMessageSize":
			next.maxBytes, err = number(name, value, minMessageBytes, maxMessageBytes)
		case "RedrivePolicy":
			err = next.applyRedrive(value)
		case "SqsManagedSseEnabled", "Policy", "RedriveAllowPolicy":
			// Accepted as AWS does; nothing here depends on them.
		default:
			err = errAttribute(name)
		}
		if err != nil {
			return err
		}
	}
	*s = next
	return nil
}

func (s *settings) applyRedrive(value string) error {
	s.redrivePolicy, s.deadLetterARN, s.maxReceives = value, "", 0
	if value == "" {
		return nil
	}
	var policy struct {
		DeadLetterTargetARN string      `json:"deadLetterTargetArn"`
		MaxReceiveCount     json.Number `json:"maxReceiveCount"` // a number or a string of one
	}
	if err := json.Unmarshal([]byte(value), &policy); err != nil {
		return errInvalid("Value %s for parameter RedrivePolicy is invalid. Reason: Redrive policy is not a valid JSON map.", value)
	}
	count, err := policy.MaxReceiveCount.Int64()
	if err != nil || count < 1 || count > maxReceivesLimit {
		return errInvalid("Value %s for parameter RedrivePolicy is invalid. Reason: Invalid value for maxReceiveCount: %s, valid values are from 1 to 1000 both inclusive.",
			value, policy.MaxReceiveCount)
	}
	if policy.DeadLetterTargetARN == "" {
		return errInvalid("Value %s for parameter RedrivePolicy is invalid. Reason: Redrive policy does not contain mandatory attribute: deadLetterTargetArn.", value)
	}
	s.deadLetterARN, s.maxReceives = policy.DeadLetterTargetARN, int(count)
	return nil
}

func number(name, value string, low, high int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		return 0, errInvalid("Invalid value for the parameter %s.", name)
	}
	return n, nil
}

func seconds(name, value string, low, high time.Duration) (time.Duration, error) {
	n, err := number(name, value, int(low/time.Second), int(high/time.Second))
	return time.Duration(n) * time.Second, err
}

// attributes are what GetQueueAttributes says of the queue.
func (q *queue) attributes(now time.Time) map[string]string {
	s := q.settings
	counts := q.depths(now, time.Duration(q.chance.DepthLag))
	asSeconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	all := map[string]string{
		"QueueArn":                              q.arn,
		"ApproximateNumberOfMessages":           strconv.Itoa(counts[visible]),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(counts[inFlight]),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(counts[delayed]),
		"CreatedTimestamp":                      strconv.FormatInt(q.created.Unix(), 10),
		"LastModifiedTimestamp":                 strconv.FormatInt(q.modified.Unix(), 10),
		"VisibilityTimeout":                     asSeconds(s.visibility),
		"DelaySeconds":                          asSeconds(s.delay),
		"MessageRetentionPeriod":                asSeconds(s.retention),
		"ReceiveMessageWaitTimeSeconds":         asSeconds(s.wait),
		"MaximumMessageSize":                    strconv.Itoa(s.maxBytes),
		"SqsManagedSseEnabled":                  "true",
	}
	if s.redrivePolicy != "" {
		all["RedrivePolicy"] = s.redrivePolicy
	}
	return all
}

// selectAttributes keeps the named ones, or all; an unknown name is an error, a
// known one that is not set is left out.
func selectAttributes(all map[string]string, names []string) (map[string]string, error) {
	if slices.Contains(names, "All") {
		return all, nil
	}
	unset := []string{"RedrivePolicy", "Policy", "RedriveAllowPolicy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"}
	selected := map[string]string{}
	for _, name := range names {
		value, ok := all[name]
		if !ok && !slices.Contains(unset, name) {
			return nil, errAttribute(name)
		}
		if ok {
			selected[name] = value
		}
	}
	return selected, nil
}

// sameAttributes says whether a repeated CreateQueue agrees with the queue: the
// attributes it names must have the values the queue has.
func (q *queue) sameAttributes(wanted map[string]string) bool {
	next := q.settings
	if err := next.apply(wanted); err != nil {
		return false
	}
	return next == q.settings
}

// selectMessageAttributes keeps those whose names are asked for: "All", ".*",
// exact names, or "prefix.*".
func selectMessageAttributes(all map[string]attributeValue, names []string) map[string]attributeValue {
	selected := map[string]attributeValue{}
	for _, name := range names {
		if name == "All" || name == ".*" {
			return maps.Clone(all)
		}
		prefix, isPrefix := strings.CutSuffix(name, ".*")
		for key, value := range all {
			if key == name || isPrefix && strings.HasPrefix(key, prefix) {
				selected[key] = value
			}
		}
	}
	return selected
}
