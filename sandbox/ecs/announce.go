package ecs

import (
	"encoding/json"
	"strings"
	"time"

	"spate/sandbox/fault"
)

// stateChange is an event as EventBridge delivers it to a queue ("Amazon ECS task state change events").
type stateChange struct {
	Version    string     `json:"version"`
	ID         string     `json:"id"`
	DetailType string     `json:"detail-type"`
	Source     string     `json:"source"`
	Account    string     `json:"account"`
	Time       time.Time  `json:"time"`
	Region     string     `json:"region"`
	Resources  []string   `json:"resources"`
	Detail     taskDetail `json:"detail"`
}

// taskDetail is a task as events have it: times are RFC 3339 there.
type taskDetail map[string]any

// EventOperation is what faults call a state-change event.
const EventOperation = "TaskStateChange"

// announce tells the events queue of a task's new status. The lock must be held.
func (s *Server) announce(t *task) {
	queue := s.account.figures.Events
	if queue == "" || s.options.Queues == nil {
		return
	}
	queue = "arn:aws:sqs:" + s.account.region + ":" + s.account.accountID + ":" + queue
	now := time.Now()
	body, err := json.Marshal(stateChange{
		Version: "0", ID: newID(), DetailType: "ECS Task State Change", Source: "aws.ecs", Account: s.account.accountID,
		Time: now.UTC().Truncate(time.Second), Region: s.account.region, Resources: []string{t.arn}, Detail: t.detail(now),
	})
	if err != nil {
		s.options.Log.Error().Err(err).Msg("marshal state-change event")
		return
	}
	times, late := 1, time.Duration(0)
	for _, rule := range s.options.Faults.Decide(fault.Call{Service: fault.ECS, Operation: EventOperation, Path: t.arn, Body: body}) {
		switch rule.Kind {
		case fault.Duplicate:
			times = 2
		case fault.Delay:
			late = time.Duration(rule.Delay)
		case fault.Drop, fault.Reject:
			times = 0
		case fault.Throttle, fault.Partial, fault.Kill:
		}
	}
	for range times {
		s.after(s.life, max(1, late), func() {
			if err := s.options.Queues.Push(queue, string(body)); err != nil {
				s.options.Log.Warn().Err(err).Str("queue", queue).Msg("state-change event lost")
			}
		})
	}
}

// detail is the task in an event.
func (t *task) detail(now time.Time) taskDetail {
	view := t.view(false)
	text, err := json.Marshal(view)
	var detail taskDetail
	if err != nil || json.Unmarshal(text, &detail) != nil {
		return taskDetail{"taskArn": t.arn, "version": t.version}
	}
	for name, value := range detail {
		if seconds, ok := value.(float64); ok && strings.HasSuffix(name, "At") {
			detail[name] = time.UnixMilli(int64(seconds * 1000)).UTC().Format(time.RFC3339Nano)
		}
	}
	detail["updatedAt"] = now.UTC().Format(time.RFC3339Nano)
	return detail
}
