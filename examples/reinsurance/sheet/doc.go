// Package sheet reads CSV files that people bring: tables from other programs, exported or typed, with a header of
// named columns in any order.
//
// Nothing is guessed. A byte order mark, a decimal comma, a group separator, a percentage, NaN, a misspelt column and a
// missing value are errors, each with the line, the column and what was expected. All errors of a file are reported at
// once, so that one look is enough to repair it: the reader of a cell gets a zero and goes on, and Err tells at the end.
//
// Its neighbours are packages model and portfolio, which say what the columns mean. It holds no state between files.
package sheet
