package worker

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Settings are what the environment of a worker says. The scaler sets it when it launches a task, but for the stop grace
// and the work directory, which belong with the task definition's stopTimeout and volumes.
type Settings struct {
	Pool           string        // SPATE_POOL
	QueueURL       string        // SPATE_QUEUE_URL: where the pool's jobs come from
	EventsQueueURL string        // SPATE_EVENTS_QUEUE_URL
	Bucket         string        // SPATE_BUCKET: of outputs
	Slots          int           // SPATE_SLOTS
	IdleTimeout    time.Duration // SPATE_IDLE_TIMEOUT
	Visibility     time.Duration // SPATE_VISIBILITY_TIMEOUT
	Retention      time.Duration // SPATE_RETENTION
	External       bool          // SPATE_SOURCE is "external": other producers than Spate fill the queue
	StopGrace      time.Duration // SPATE_STOP_GRACE; DefaultStopGrace when not set
	Launched       time.Time     // SPATE_LAUNCHED_AT, RFC 3339: when the task was asked for; zero when not set
	WorkDir        string        // SPATE_WORK_DIR; "" when not set
	Path           string        // PATH
}

// DefaultStopGrace fits into the 30 seconds that ECS leaves a task between SIGTERM and SIGKILL unless its definition
// says otherwise, with what it takes to end the processes and give the messages back (Amazon ECS task definition
// parameters, stopTimeout).
const DefaultStopGrace = 20 * time.Second

// ReadSettings reads the environment. The error names everything that is missing or wrong.
func ReadSettings(getenv func(string) string) (Settings, error) {
	var errs []error
	text := func(name string) string {
		value := getenv(name)
		if value == "" {
			errs = append(errs, fmt.Errorf("%s is not set", name))
		}
		return value
	}
	duration := func(name, value string) time.Duration {
		d, err := time.ParseDuration(value)
		if value != "" && (err != nil || d <= 0) {
			errs = append(errs, fmt.Errorf("%s is %q: want a duration above 0, such as 15m", name, value))
		}
		return d
	}
	s := Settings{
		Pool: text("SPATE_POOL"), QueueURL: text("SPATE_QUEUE_URL"), EventsQueueURL: text("SPATE_EVENTS_QUEUE_URL"),
		Bucket: text("SPATE_BUCKET"), External: getenv("SPATE_SOURCE") == "external", StopGrace: DefaultStopGrace, WorkDir: getenv("SPATE_WORK_DIR"), Path: getenv("PATH"),
	}
	if slots := text("SPATE_SLOTS"); slots != "" {
		n, err := strconv.Atoi(slots)
		if err != nil || n < 1 {
			errs = append(errs, fmt.Errorf("SPATE_SLOTS is %q: want a number of at least 1", slots))
		}
		s.Slots = n
	}
	s.IdleTimeout = duration("SPATE_IDLE_TIMEOUT", text("SPATE_IDLE_TIMEOUT"))
	s.Visibility = duration("SPATE_VISIBILITY_TIMEOUT", text("SPATE_VISIBILITY_TIMEOUT"))
	s.Retention = duration("SPATE_RETENTION", text("SPATE_RETENTION"))
	if grace := getenv("SPATE_STOP_GRACE"); grace != "" {
		s.StopGrace = duration("SPATE_STOP_GRACE", grace)
	}
	if launched := getenv("SPATE_LAUNCHED_AT"); launched != "" {
		at, err := time.Parse(time.RFC3339Nano, launched)
		if err != nil {
			errs = append(errs, fmt.Errorf("SPATE_LAUNCHED_AT is %q: want a time such as 2026-11-21T02:14:00Z", launched))
		}
		s.Launched = at
	}
	if len(errs) > 0 {
		return Settings{}, fmt.Errorf("read worker settings: %w", errors.Join(errs...))
	}
	return s, nil
}
