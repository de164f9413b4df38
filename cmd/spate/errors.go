package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/go-json-experiment/json"

	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/job"
	"spate/planner/report"
)

// endpointVariable, and variables that begin with it and name a service, point the SDK at a sandbox.
const endpointVariable = "AWS_ENDPOINT_URL"

// problem is an error as people should read it: what is wrong in one sentence, and what can be done about it.
type problem struct {
	what string
	todo string // may be empty
	err  error  // the cause; may be nil

	usage bool // it is the command line that is wrong
}

func (p *problem) Error() string { return p.what }

func (p *problem) Unwrap() error { return p.err }

// reportError prints an error on standard error, in the form that the arguments ask for.
func reportError(p program, args []string, err error) {
	w := pageOn(p.stderr)
	if !wantsJSON(args) {
		printError(w, err, p.environ)
		return
	}
	if err := printErrorJSON(w, err, p.environ); err != nil {
		fmt.Fprintln(w, "spate:", err)
	}
}

// wantsJSON reports whether arguments, which may be wrong otherwise, ask for JSON.
func wantsJSON(args []string) bool {
	for i, a := range args {
		switch a {
		case "--":
			return false
		case "--output=json", "-ojson", "-o=json":
			return true
		case "json":
			if i > 0 && (args[i-1] == "--output" || args[i-1] == "-o") {
				return true
			}
		}
	}
	return false
}

// errorView is an error as programs read it.
type errorView struct {
	Error  string      `json:"error"`
	Todo   string      `json:"todo,omitzero"`
	Errors []placeView `json:"errors,omitempty"` // of a file
}

type placeView struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitzero"`
	Column  int    `json:"column,omitzero"`
	Message string `json:"message"`
}

// printErrorJSON prints an error as one line of JSON.
func printErrorJSON(w page, err error, environ []string) error {
	p := explain(err, environ)
	v := errorView{Error: p.what, Todo: p.todo}
	if many, ok := errors.AsType[*job.Errors](err); ok {
		v.Error = countOf(many.Len(), "error") + "; nothing was submitted"
		for _, e := range many.List {
			v.Errors = append(v.Errors, placeView{e.File, e.Line, e.Column, e.Message})
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\n", data)
	return nil
}

// printError prints an error for people. Each of a file's errors has a line of its own, beginning with its place.
func printError(w page, err error, environ []string) {
	if many, ok := errors.AsType[*job.Errors](err); ok {
		w.paragraph("", many.Error())
		fmt.Fprintf(w, "spate: %s; nothing was submitted\n", countOf(many.Len(), "error"))
		return
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		w.paragraph("", err.Error())
		fmt.Fprintln(w, "spate: the configuration is wrong; nothing was done")
		return
	}
	p := explain(err, environ)
	first, rest, more := strings.Cut(p.what, "\n")
	w.paragraph("", "spate: "+first)
	if more {
		w.paragraph("  ", rest)
	}
	if p.todo != "" {
		w.paragraph("  ", p.todo)
	}
}

// explain says in words what the SDK says in the order of its layers. Other errors are left as they are.
func explain(err error, environ []string) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if missing, ok := errors.AsType[*report.NotFoundError](err); ok {
		return explainMissing(missing)
	}
	if unplanned, ok := errors.AsType[*report.NotPlannedError](err); ok {
		return notPlanned(unplanned.Run)
	}
	if bucket, ok := errors.AsType[*objects.NoBucketError](err); ok {
		return &problem{
			what: bucket.Error(), err: err,
			todo: "bucket in the configuration file, or SPATE_BUCKET, names Spate's own; run files may name others. " +
				"`spate sandbox --config FILE` creates what FILE names in a sandbox.",
		}
	}
	if errors.Is(err, awsclient.ErrNoRegion) {
		return &problem{
			what: "there is no AWS Region", err: err,
			todo: "Set AWS_REGION, or region in the configuration file. For a sandbox, export what `spate sandbox` prints: `. sandbox.env` if you keep it in that file.",
		}
	}
	call, ok := errors.AsType[*smithy.OperationError](err)
	if !ok {
		return &problem{what: err.Error(), err: err}
	}
	p := explainCall(call, environ)
	// What was being done stands before the SDK's part, with details that only say which call it was.
	before, after, _ := strings.Cut(err.Error(), call.Error())
	if doing, _, ok := strings.Cut(before, ": "); ok {
		p.what = doing + ": " + p.what
	}
	p.what, p.err = p.what+after, err
	return p
}

func explainCall(call *smithy.OperationError, environ []string) *problem {
	service := call.Service()
	if answer, ok := errors.AsType[smithy.APIError](call); ok {
		return explainAnswer(call, answer)
	}
	variable, address := endpoint(service, environ)
	todo := variable + " points there. Is that where `spate sandbox` or `spate demo --keep` is serving? Unset it to use AWS."
	if variable == "" {
		todo = "Is the Region right, and is there a way to it from here? For a sandbox, export what `spate sandbox` prints."
	}
	if request, ok := errors.AsType[*url.Error](call); ok {
		if u, err := url.Parse(request.URL); err == nil {
			address = u.Scheme + "://" + u.Host
		}
	}
	at := service
	if address != "" {
		at += " at " + address
	}
	p := &problem{todo: todo}
	name, unknownHost := errors.AsType[*net.DNSError](call)
	network, isNetwork := errors.AsType[net.Error](call)
	switch {
	case unknownHost:
		p.what = fmt.Sprintf("there is no host %s", name.Name)
	case errors.Is(call, syscall.ECONNREFUSED):
		p.what = fmt.Sprintf("nothing listens for %s", at)
	case errors.Is(call, context.DeadlineExceeded), isNetwork && network.Timeout():
		p.what = fmt.Sprintf("no answer from %s", at)
	default:
		p.what = fmt.Sprintf("no answer from %s: %v", at, innermost(call))
	}
	return p
}

// endpoint is the variable that points the SDK at a service, if one does, and where to.
func endpoint(service string, environ []string) (variable, address string) {
	own := endpointVariable + "_" + strings.ToUpper(strings.ReplaceAll(service, " ", "_"))
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if value != "" && (name == own || name == endpointVariable && variable == "") {
			variable, address = name, value
		}
	}
	return variable, address
}

// explainMissing is about a run or job that there is not.
func explainMissing(missing *report.NotFoundError) *problem {
	p := &problem{what: missing.Error(), err: missing}
	switch {
	case missing.Ambiguous:
		p.todo = "Write more of it."
	case missing.Kind == "job" && strings.HasPrefix(missing.Where, "run "):
		p.todo = fmt.Sprintf("`spate results %s --all` lists its jobs.", strings.TrimPrefix(missing.Where, "run "))
	case missing.Kind == "job":
		p.todo = "`spate runs` lists runs, and `spate results RUN --all` the jobs of one."
	case missing.Kind == "output":
		p.todo = "--from takes the key of any output of the same task type: `spate why JOB --run RUN` shows that of a job in a run."
	case missing.Kind == "run":
		p.todo = "`spate runs` lists them. One just submitted appears when a controller has taken it up."
	}
	return p
}

// explainAnswer is about an error that the service itself gave.
func explainAnswer(call *smithy.OperationError, answer smithy.APIError) *problem {
	p := &problem{what: fmt.Sprintf("%s refused %s: %s", call.Service(), call.Operation(), answer.ErrorCode())}
	if text := answer.ErrorMessage(); text != "" {
		p.what += ": " + text
	}
	if response, ok := errors.AsType[*awshttp.ResponseError](call); ok && response.ServiceRequestID() != "" {
		p.what += fmt.Sprintf(" (request %s)", response.ServiceRequestID())
	}
	switch answer.ErrorCode() {
	case "ResourceNotFoundException", "NoSuchBucket", "ClusterNotFoundException":
		p.todo = "What the configuration names must exist in this account and Region. `spate sandbox --config FILE` creates it in a sandbox."
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch",
		"InvalidAccessKeyId", "MissingAuthenticationToken", "IncompleteSignature":
		p.todo = "The AWS credentials are wrong."
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		p.todo = "The AWS credentials have expired: renew them."
	case "AccessDenied", "AccessDeniedException":
		p.todo = "The AWS credentials lack this permission."
	default:
		if class := awsclient.Classify(call); class == awsclient.ClassThrottled || class == awsclient.ClassTransient {
			p.todo = "Try again in a moment."
		}
	}
	return p
}

// taken adds advice to an error about an address that another process listens on. Others pass.
func taken(err error, todo string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &problem{what: err.Error(), todo: todo, err: err}
	}
	return err
}

// innermost is the error at the end of a chain.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		if _, ok := next.(*os.SyscallError); ok { //nolint:errorlint // this very layer is looked for
			return next
		}
		err = next
	}
}
