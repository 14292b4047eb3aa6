package zone

import (
	"slices"

	"tacit/internal/wire"
)

// Targets of CNAME records by which services find out whose a domain is, or publish the keys that its mail is signed with. They look
// for what stands there, and a proxied name has none of it. The list is Cloudflare's, who refuses to proxy such records.
var (
	verifying      = names("dkim2.mcsv.net.", "dkim3.mcsv.net.", "zmverify.zoho.com.", "dkim.infusionmail.com.", "dkim.amazonses.com.")
	verifyingBelow = names("dkim.amazonses.com.", "onmicrosoft.com.", "dkim.intercom.io.", "acm-validations.aws.")
)

func names(list ...string) []wire.Name {
	all := make([]wire.Name, len(list))
	for i, text := range list {
		all[i] = wire.MustName(text)
	}
	return all
}

// verifies reports whether a target is one of those.
func verifies(target wire.Name) bool {
	return slices.Contains(verifying, target) || slices.ContainsFunc(verifyingBelow, target.Below)
}
