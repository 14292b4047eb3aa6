// Package discovery tells clients where the encrypted transports are: as DNS records (DDR, RFC 9462; RESINFO, RFC 9606),
// as option octets for DHCP and router advertisements (RFC 9463), and as settings to paste into a client. It describes a
// Service, asks nobody and serves nothing itself.
package discovery
