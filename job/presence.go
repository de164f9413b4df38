package job

// Presence answers whether a live output exists for a key. Unknown is not Miss: an observation that failed says
// nothing about what it looked at.
type Presence uint8

// The answers. The zero value is Unknown, so that what nobody looked at is never taken for an answer.
const (
	Unknown Presence = iota
	Miss
	Hit
)

// String is the answer in lower case.
func (p Presence) String() string {
	switch p {
	case Unknown:
		return "unknown"
	case Miss:
		return "miss"
	case Hit:
		return "hit"
	}
	return "invalid"
}
