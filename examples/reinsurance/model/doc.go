// Package model computes a reinsurer's portfolio of catastrophe deals, one small program a step:
//
//	simulate-events   simulated years of one peril: which events, when, and what each cost the whole industry
//	exchange-rates    a table of exchange rates, for the jobs that depend on it
//	price-deal        one excess-of-loss deal's own losses and reinstatement premiums, occurrence by occurrence
//	combine           many losses added by occurrence and currency
//	portfolio         retrocession, average annual loss, exceedance curves, tail value at risk, a picture
//
// The package knows nothing about who starts it. A task reads its parameters from the JSON file named by SPATE_PARAMS
// and tables from the directory SPATE_INPUT_DIR, writes files to SPATE_OUTPUT_DIR, and ends with an exit code: 0 done,
// 65 bad input (running it again cannot help), 1 anything else. Errors in input name the file, the line and the column.
//
// # Terms
//
// A deal's terms apply year by year, to its occurrences in the order in which they happen: inuring recoveries, occurrence
// attachment and limit, annual deductible, aggregate limit, share. Type Year is that order, for deals and for the
// retrocession of the whole book.
//
// # Amounts
//
// Every amount in a table is a whole number of units of a currency. Sums are therefore exact, whatever their order, and
// the portfolio's figures equal those of one plain loop over all deals to the last bit. Currencies stay apart until they
// have to meet: in a deal that covers a peril in another currency, and in the portfolio. Only the statistics at the end,
// and the parameters of the hazard, are floating-point numbers.
//
// # Same inputs, same bytes
//
// A task depends on its parameters and inputs alone: no clock, no host name, no job id. Random numbers are named by what
// they are for, never by the order of drawing; tables are sorted by occurrence; products that are added are rounded
// explicitly, so that processors with a fused multiply-add write the same bytes.
//
// Its only neighbours are packages draw and sheet. It starts no goroutine and keeps no state between calls.
package model
