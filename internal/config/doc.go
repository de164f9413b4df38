// Package config reads Spate's one configuration file.
//
// [Load] turns a YAML file and the environment into a [Config] that is complete (defaults are filled in) and valid, or into an error
// that lists everything wrong with it at once. Each problem is an [Error] with the line and column where it stands, or the
// environment variable it came from, and says what to do about it.
//
// The format is strict: an unknown key is an error that names the nearest valid one, a number is not a string nor the other
// way round, integers stay within ±2⁵³, dates remain strings, and keys may not repeat. Anchors, aliases and tags are
// refused: a file shows its values where they apply.
//
// Every value may be overridden by an environment variable named after its path, such as SPATE_REDIS_URL or
// SPATE_POOLS_ROLLUP_MAX, where pools and tasks go by their names and dashes become underscores. Text is taken as it is;
// anything else is written as YAML would write it on one line: SPATE_POOLS_ROLLUP_SUBNETS='[subnet-a, subnet-b]'.
//
// Failure modes: the file or a params schema it names cannot be read (an error without a position, or positioned where
// the schema is named); anything else is a list of positioned problems. The package keeps no state.
//
// Neighbours: cmd/spate loads a Config and hands parts of it to the packages that need them; docs/config.schema.json is
// generated from the types here by internal/config/schemagen, for editors.
package config
