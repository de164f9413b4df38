// Package expression parses and evaluates DynamoDB's expressions: conditions and filters, key conditions, updates and projections.
//
// A parsed expression is immutable and safe for concurrent use. Parsing resolves #names and :values at once, through [Bindings],
// which remembers what was used so that a request can refuse leftovers. Evaluation is pure: an item in, an answer or a new item
// out; the item given is never changed.
//
// Everything that is wrong with an expression, or with an item it is applied to, is an [attribute.ValidationError] in the service's
// words. Not enforced: reserved words (any identifier may name an attribute) and the limit on the number of operators.
package expression
