// Package draw makes random numbers that are a function of a name, not of the order in which they are asked for.
//
// A draw is named by a seed and a few integers (period 17, category 3, event 0, severity). The name is hashed to a
// uniform number, which Normal turns into a standard normal one. Two processes that ask for the same name get the
// same number, and leaving out one draw moves no other.
//
// The same name gives the same bits on every architecture. Go may fuse a multiplication and an addition into one
// rounding on some machines, and its math package uses assembly on others; this package therefore writes an explicit
// float64 conversion around every product that is added to something, which the language specification says prevents
// fusing, and brings its own Exp and Log. Only square roots come from package math: IEEE 754 defines their last bit.
//
// The package has no state and cannot fail. Its neighbours are the model, which simulates years with it, and the
// portfolio generator, which invents deals with it.
package draw
