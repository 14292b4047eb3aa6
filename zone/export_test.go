package zone

// For the tests that need the resolver, which imports this package.
const Margin = margin

var Digest = digest
