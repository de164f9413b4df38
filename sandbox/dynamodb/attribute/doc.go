// Package attribute holds DynamoDB's data types: the ten kinds of attribute value, items made of them, exact decimal numbers,
// their JSON wire form, their sizes and their order.
//
// Values are immutable by convention: whoever wants to change an item clones what it changes ([Clone], [Item.Clone]). That lets a
// table hand out its items without copying them.
//
// Everything that is wrong with a value is a [ValidationError], whose text is the service's. The neighbours are
// sandbox/dynamodb/expression, which evaluates expressions over items, and sandbox/dynamodb, which stores them.
package attribute
