// Package discovery tells clients where the encrypted transports are: as DNS records (DDR, RFC 9462; RESINFO, RFC 9606),
// as option octets for DHCP and router advertisements (DNR, RFC 9463), as DNS stamps, and as settings to paste into a
// client. It describes a Service, asks nobody and serves nothing itself.
//
// Limitations: the records do not say which keys encrypt the client hello (RFC 9849), the stamps name no certificate, and
// profiles are not signed. What Windows, OpenWrt, Android and Apple's devices are told has not been tried on them.
package discovery
