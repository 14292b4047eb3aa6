// Package privacy holds the types that stand for clients, and the log handler that lets nothing through which could
// come from one. A client's address never leaves the place that must answer it: rate limits and other tables are
// keyed by Client, a keyed hash whose key dies with the hour. The package does no I/O and keeps no table itself.
//
// Limitations: text that is marked with Public is believed; that only configuration and constants are marked so is
// for review to see.
package privacy
