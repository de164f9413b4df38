package contract

// Exception is a way in which a server is known to differ from AWS; the fact's source is the document that says what AWS does.
type Exception struct {
	// Server is the one that differs, as test/conformance names it.
	Server string
	// Fact is the ID of the fact that does not hold there.
	Fact string
	// Instead is what that server does.
	Instead string
}

// Sandbox is the server that the facts' own test starts.
const Sandbox = "sandbox"

// Exceptions are all that are known.
func Exceptions() []Exception {
	return []Exception{
		{Sandbox, "s3/parts-etag", "the ETag of an object that was put together of parts is the MD5 of the whole"},
		{Sandbox, "s3/part-too-small", "parts may be of any size"},
		{Sandbox, "redis/eviction-policy", "the embedded Redis does not tell its eviction policy; a real one does (--redis-server)"},
	}
}

// Verdict is what became of a fact on a server.
type Verdict string

// The verdicts. Only Broken is a failure; Mended asks for its exception to be taken away.
const (
	Holds   Verdict = "holds"
	Differs Verdict = "differs" // as an exception says
	Mended  Verdict = "mended"  // it holds, and an exception says that it does not
	Broken  Verdict = "BROKEN"
)

// Judge says what the outcome of a check (nil: it held) means on a server. A Differs comes with its exception.
func Judge(server string, f Fact, outcome error) (Verdict, Exception) {
	for _, e := range Exceptions() {
		if e.Server != server || e.Fact != f.ID() {
			continue
		}
		if outcome == nil {
			return Mended, e
		}
		return Differs, e
	}
	if outcome == nil {
		return Holds, Exception{}
	}
	return Broken, Exception{}
}
