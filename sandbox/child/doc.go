// Package child says how child processes are started, so that none outlives the sandbox.
package child
