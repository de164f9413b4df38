package planner

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// gate stands between a planner and the services. It counts the requests that change something and can make one of them
// the planner's last, before or after its effect, or lose its answer.
type gate struct {
	at   int // the number of the request that meets with the accident, from 1; 0: none
	kind accident
	kill func() // ends the planner; called once, not to wait

	mu     sync.Mutex
	writes []string      // what was asked for
	victim *http.Request // the one that meets with the accident
	since  time.Time     // when it did
	dead   bool
}

type accident string

const (
	diesBefore accident = "dies before"
	diesAfter  accident = "dies after"
	losesReply accident = "loses the reply to"
	cutOff     accident = "is cut off at" // its service does not answer for a while
)

// cutOffFor is longer than the SDK tries again.
const cutOffFor = 20 * time.Second

var errCut = errors.New("connection reset")

// enter lets a request pass on its way to the service.
func (g *gate) enter(r *http.Request) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead {
		return errCut
	}
	if name := change(r); name != "" {
		g.writes = append(g.writes, name)
		if len(g.writes) == g.at {
			g.victim, g.since = r, time.Now()
		}
		if g.victim == r && g.kind == diesBefore {
			return g.die()
		}
	}
	if g.kind == cutOff && g.victim != nil && service(r) == service(g.victim) && time.Since(g.since) < cutOffFor {
		return errCut
	}
	return nil
}

// leave lets the answer pass.
func (g *gate) leave(r *http.Request) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.dead:
		return errCut
	case g.victim != r:
		return nil
	case g.kind == diesAfter:
		return g.die()
	case g.kind == losesReply:
		return errCut
	}
	return nil
}

func (g *gate) die() error {
	g.dead = true
	g.kill()
	return errCut
}

// change names a request that changes something; receiving is none.
func change(r *http.Request) string {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch operation {
	case "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "SendMessageBatch", "DeleteMessageBatch":
		return operation
	case "":
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return fmt.Sprintf("%s %s", r.Method, r.URL.Path)
		}
	}
	return ""
}

// service names the service that a request is for; S3's requests have no target.
func service(r *http.Request) string {
	name, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return name
}
