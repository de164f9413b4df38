package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Exit codes of Main. BadInput is for the catalogue's permanent_exit_codes: the same input fails the same way.
const (
	Succeeded = 0
	Failed    = 1
	BadInput  = 65 // EX_DATAERR of sysexits.h
)

// Names of the tasks.
const (
	TaskSimulate  = "simulate-events"
	TaskExchange  = "exchange-rates"
	TaskPrice     = "price-deal"
	TaskCombine   = "combine"
	TaskPortfolio = "portfolio"
)

// TaskNames returns the names of all tasks, in the order in which a portfolio needs them.
func TaskNames() []string {
	return []string{TaskSimulate, TaskExchange, TaskPrice, TaskCombine, TaskPortfolio}
}

// Main runs the task named by the first argument, or else by TASK_NAME, and returns the process's exit code. It reads
// SPATE_PARAMS, SPATE_INPUT_DIR and SPATE_OUTPUT_DIR by getenv and writes to stderr why it fails, with a line for each wrong
// row of a table. Output files are written only after the whole computation has succeeded.
func Main(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	task := getenv("TASK_NAME")
	if len(args) > 0 {
		task = args[0]
	}
	err := run(ctx, task, Dirs{
		Params: getenv("SPATE_PARAMS"),
		Input:  getenv("SPATE_INPUT_DIR"),
		Output: getenv("SPATE_OUTPUT_DIR"),
	})
	if err == nil {
		return Succeeded
	}
	fmt.Fprintf(stderr, "%s: %v\n", task, err)
	if _, bad := errors.AsType[*InputError](err); bad {
		return BadInput
	}
	return Failed
}

// Dirs says where a task finds and leaves its files.
type Dirs struct {
	Params string // path of the JSON file with the parameters
	Input  string // directory of the input tables; need not exist for a task without inputs
	Output string // directory for the output files; made if missing
}

// run reads everything, computes, then writes everything.
func run(ctx context.Context, task string, dirs Dirs) error {
	compute, known := tasks()[task]
	if !known {
		return fmt.Errorf("unknown task %q: one of %s", task, strings.Join(TaskNames(), ", "))
	}
	if dirs.Params == "" || dirs.Output == "" {
		return errors.New("SPATE_PARAMS and SPATE_OUTPUT_DIR must be set")
	}
	params, err := os.ReadFile(dirs.Params)
	if err != nil {
		return fmt.Errorf("read parameters: %w", err)
	}
	inputs, err := readInputs(ctx, dirs.Input)
	if err != nil {
		return err
	}
	outputs, err := compute(params, inputs)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("compute %s: %w", task, err)
	}
	return writeOutputs(dirs.Output, outputs)
}

// A task turns parameters and input files, by their path below the input directory, into output files, by name.
type task func(params []byte, inputs map[string][]byte) (map[string][]byte, error)

func tasks() map[string]task {
	return map[string]task{
		TaskSimulate:  simulateTask,
		TaskExchange:  exchangeTask,
		TaskPrice:     priceTask,
		TaskCombine:   combineTask,
		TaskPortfolio: portfolioTask,
	}
}

func readInputs(ctx context.Context, dir string) (map[string][]byte, error) {
	inputs := map[string][]byte{}
	if dir == "" {
		return inputs, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return inputs, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list inputs: %w", err)
	}
	for _, entry := range entries {
		names := []string{entry.Name()}
		if entry.IsDir() { // the output of a job that came before
			if names, err = filesOf(dir, entry.Name()); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("read inputs: %w", err)
			}
			content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
			if err != nil {
				return nil, fmt.Errorf("read inputs: %w", err)
			}
			inputs[name] = content
		}
	}
	return inputs, nil
}

// filesOf returns the paths of the files in one directory of the input.
func filesOf(dir, name string) ([]string, error) {
	files, err := os.ReadDir(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("list inputs: %w", err)
	}
	paths := make([]string, len(files))
	for i, file := range files {
		paths[i] = path.Join(name, file.Name())
	}
	return paths, nil
}

func writeOutputs(dir string, outputs map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make output directory: %w", err)
	}
	for _, name := range sortedNames(outputs) {
		if err := os.WriteFile(filepath.Join(dir, name), outputs[name], 0o644); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	return nil
}

func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
