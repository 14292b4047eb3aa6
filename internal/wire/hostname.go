package wire

import "strings"

// IsHostName reports whether text is the name of a host, with or without the final dot: labels of letters, digits and hyphens
// (RFC 1123 section 2.1), the last of which is not a number, or it would be taken for an address (RFC 3696 section 2).
func IsHostName(text string) bool {
	text = strings.TrimSuffix(text, ".")
	if _, err := ParseName(text); err != nil {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(text, ".") {
		if !isHostLabel(label) {
			return false
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != ""
}

func isHostLabel(label string) bool {
	for i := range len(label) {
		c := lower(label[i])
		inside := i > 0 && i < len(label)-1
		if letter := c >= 'a' && c <= 'z'; !letter && !isDigit(c) && (c != '-' || !inside) {
			return false
		}
	}
	return label != ""
}
