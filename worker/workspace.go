package worker

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"spate/job"
)

// workspace is the directories of one job. Only what lies in work is the job's; all of it goes when the job is done.
type workspace struct {
	root    string   // holds everything else
	work    string   // the process's working directory
	input   string   // below work
	outputs []string // below work, in the task's order
	params  string   // the file
	home    string
	tmp     string
	log     string // a file, of what the job prints
}

// layOut says where a task's directories lie below root, an absolute path.
func layOut(root string, task job.TaskDocument) (workspace, error) {
	work := filepath.Join(root, "work")
	ws := workspace{
		root: root, work: work,
		params: filepath.Join(work, "params.json"), home: filepath.Join(root, "home"), tmp: filepath.Join(root, "tmp"),
		log: filepath.Join(root, "log"),
	}
	for _, dir := range append([]string{task.InputDir}, task.OutputDirs...) {
		if dir != "" && !filepath.IsLocal(dir) {
			return workspace{}, jobErrorf("directory %q of task %q leaves the work directory", dir, task.Name)
		}
	}
	ws.input = filepath.Join(work, task.InputDir)
	for _, dir := range task.OutputDirs {
		ws.outputs = append(ws.outputs, filepath.Join(work, dir))
	}
	return ws, nil
}

// make makes the directories, empty.
func (ws workspace) make() error {
	if err := removeTree(ws.root); err != nil {
		return onDisk(err)
	}
	for _, dir := range slices.Concat([]string{ws.work, ws.input, ws.home, ws.tmp}, ws.outputs) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return onDisk(err)
		}
	}
	return nil
}

// relative takes the job's directories out of lines of output. Their names differ from worker to worker, and two attempts
// that end alike should say the same.
func (ws workspace) relative(lines []string) []string {
	short := strings.NewReplacer(ws.work+"/", "", ws.work, ".", ws.root+"/", "../")
	for i, line := range lines {
		lines[i] = short.Replace(line)
	}
	return lines
}

// writeParams writes the canonical parameters. A staged file of that name is not overwritten.
func (ws workspace) writeParams(params []byte) error {
	f, err := os.OpenFile(ws.params, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return jobErrorf("the job stages a file in the place of %s", filepath.Base(ws.params))
	}
	if err != nil {
		return onDisk(err)
	}
	_, err = f.Write(params)
	return onDisk(errors.Join(err, f.Close()))
}

// removeTree removes a directory and all below it, also what a program made unwritable.
func removeTree(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	// Directories without the write permission keep their entries: give it back, as far as that goes, and try again.
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // a directory
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// environment is all that a job's process sees, sorted: nothing of the worker's own but its PATH. What the contract
// promises stands above what the submitter set.
//
// key is the original's when a job is computed again: its process sees what the original's saw.
func environment(ws workspace, key job.Key, doc job.Document, path string) []string {
	vars := map[string]string{"PATH": path, "HOME": ws.home, "TMPDIR": ws.tmp, "LANG": "C.UTF-8"}
	maps.Copy(vars, doc.Spec.Env)
	vars["TASK_NAME"] = doc.Spec.Task.Name
	vars["SPATE_JOB_KEY"] = key.String()
	vars["SPATE_PARAMS"] = ws.params
	vars["SPATE_INPUT_DIR"] = ws.input
	if len(ws.outputs) > 0 {
		vars["SPATE_OUTPUT_DIR"] = ws.outputs[0]
	}
	if doc.Spec.Run != "" {
		vars["SPATE_RUN_ID"] = doc.Spec.Run
	}
	env := make([]string, 0, len(vars))
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}
