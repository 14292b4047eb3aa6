// Package admin lets an operator see and change a running tacit: commands reach it over a unix socket, as HTTP with JSON, and a
// Monitor shows metrics and health over HTTP.
// It carries questions to the parts that can answer them and decides nothing itself. No answer holds a name that a client
// has asked for, or a client: there is no command that lists names, and zones are named only where the operator has named
// them first, or where many client networks have them in common.
//
// Metrics are published every ten seconds, with labels whose words are constants of this package.
//
// Limitations: who may open the socket may do everything. The counts of the command status are those of the moment, so that who looks twice in a second on a resolver with one user learns when that one asked.
package admin
