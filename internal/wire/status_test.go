package wire

import "testing"

// RFC 4033 section 5. What several RRsets give together is the least of them.
func TestStatusOrder(t *testing.T) {
	if min(Secure, Insecure) != Insecure || min(Insecure, Bogus) != Bogus || min(Bogus, Indeterminate) != Indeterminate {
		t.Error("statuses are out of order")
	}
	for s, want := range map[Status]string{
		Indeterminate: "indeterminate", Bogus: "bogus", Insecure: "insecure", Secure: "secure",
	} {
		if s.String() != want {
			t.Errorf("status %d prints as %s", s, s)
		}
	}
}
