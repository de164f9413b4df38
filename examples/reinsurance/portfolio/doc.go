// Package portfolio invents a reinsurer's portfolio, or reads it from files in the fields of Open Exposure Data, and writes
// it as a run: one job for each peril's occurrences and one for the exchange rates, one for each deal, levels of combining
// jobs, one for the portfolio's figures.
//
//	occurrences-… ──► deal-00001 ──► combine-1-003 ──┐
//	      │           deal-00002 ──► combine-1-000 ──┼──► (combine-2-…) ──► portfolio ◄── rates
//	      └─────────► deal-00003 ──► combine-1-003 ──┘
//
// Deals are excess-of-loss layers of cedants' programmes, in the currency of their market. In about a quarter of the
// programmes, what the lower layers pay inures to the benefit of those above, so that deals wait for deals, up to four in a
// row: a deal follows the cedant's deals with a lower inuring priority.
//
// A deal goes to a bucket by the hash of its id. The number of buckets follows from the nominal size, an option, never
// from the deals themselves: adding or changing one deal touches its own bucket and the jobs above it, no other.
//
// Job parameters hold what the result depends on and nothing else. Ids, cedants and layers are labels.
//
// Everything is a function of Options: the same options give the same bytes. The package holds no state, starts
// nothing, and reaches nothing but the writers it is given. Its neighbours are package model, whose parameter types it
// fills in, and packages draw and sheet.
package portfolio
