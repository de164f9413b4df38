// Package model computes a reinsurer's portfolio of hurricane deals, one small program a step:
//
//	simulate-events   simulated years: which hurricanes, and what each cost the whole industry
//	price-deal        one excess-of-loss deal's own losses, event by event
//	combine           many losses added by event
//	portfolio         average annual loss, exceedance curves, tail value at risk, a picture
//
// The package knows nothing about who starts it. A task reads its parameters from the JSON file named by SPATE_PARAMS
// and tables from the directory SPATE_INPUT_DIR, writes files to SPATE_OUTPUT_DIR, and ends with an exit code: 0 done,
// 65 bad input (running it again cannot help), 1 anything else. Errors in input name the file, the line and the column.
//
// # Amounts
//
// Every amount in a table is a whole number of US dollars. Sums are therefore exact, whatever their order, and the
// portfolio's figures equal those of one plain loop over all deals to the last bit. Only the statistics at the end, and
// the parameters of the hazard (USD billions, as published), are floating-point numbers.
//
// # Same inputs, same bytes
//
// A task depends on its parameters and inputs alone: no clock, no host name, no job id. Random numbers are named by
// (seed, period, category, event), never by the order of drawing; tables are sorted by event; products that are added are
// rounded explicitly, so that processors with a fused multiply-add write the same bytes.
//
// Its only neighbour is package draw. It starts no goroutine and keeps no state between calls.
package model
