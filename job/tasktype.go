package job

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// TaskType says how a named kind of job is validated and run: an entry of the catalogue.
type TaskType struct {
	Name               string            `json:"name"`
	Command            []string          `json:"command"`              // program and arguments
	Before             []string          `json:"before,omitempty"`     // run before Command, in the same directory
	After              []string          `json:"after,omitempty"`      // run after Command succeeded
	OnFailure          []string          `json:"on_failure,omitempty"` // run after Command failed
	InputDir           string            `json:"input_dir"`            // relative to the work directory
	OutputDirs         []string          `json:"output_dirs"`          // relative to the work directory; the first is SPATE_OUTPUT_DIR
	Env                map[string]string `json:"env,omitempty"`
	Timeout            Duration          `json:"timeout"`              // of one attempt
	MaxAttempts        int               `json:"max_attempts"`         // at least 1
	PermanentExitCodes []int             `json:"permanent_exit_codes"` // never retried
	Deterministic      bool              `json:"deterministic"`        // same key, same bytes

	// Params checks a job's parameters beyond being a JSON object; nil accepts any.
	Params ParamsChecker `json:"-"`
}

// ParamsChecker checks a job's parameters against what its task type declares. The error names the member that is
// wrong, or joins (errors.Join) one for each; it must be safe for concurrent use.
type ParamsChecker interface {
	CheckParams(params jsontext.Value) error
}

// Document is the part of the task type that a result may depend on.
func (t TaskType) Document() TaskDocument {
	return TaskDocument{
		Name: t.Name, Command: t.Command, Before: t.Before, After: t.After, OnFailure: t.OnFailure,
		InputDir: t.InputDir, OutputDirs: t.OutputDirs,
	}
}

// IsPermanent reports whether an exit code means that another attempt would end alike.
func (t TaskType) IsPermanent(exitCode int) bool {
	return slices.Contains(t.PermanentExitCodes, exitCode)
}

// Catalogue is the task types by name.
type Catalogue map[string]TaskType

// Names lists the catalogue's names, sorted.
func (c Catalogue) Names() []string {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
