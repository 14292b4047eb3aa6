package privacy

import (
	"strings"
	"testing"
)

func TestPositionsBeginWhereThePanicWas(t *testing.T) {
	var none *struct{ field int }
	for name, fault := range map[string]func(){
		"a value":           func() { panic("secret.example 192.0.2.1") },
		"a nil pointer":     func() { none.field++ },
		"from a deep stack": func() { deep(100) },
		"while panicking":   func() { defer deep(1); panic("first") },
	} {
		t.Run(name, func(t *testing.T) {
			got := string(recovered(fault))
			if strings.Contains(got, "secret") || strings.Contains(got, "runtime.") || strings.Contains(got, "recovered.func") {
				t.Error(got)
			}
			first, _, _ := strings.Cut(got, " ")
			if !strings.Contains(first, "privacy.") || !strings.ContainsAny(first, "0123456789") {
				t.Errorf("%q is the first of %q", first, got)
			}
		})
	}
}

func deep(n int) {
	if n == 0 {
		panic("secret")
	}
	deep(n - 1)
}

func recovered(fault func()) (positions Public) {
	defer func() {
		if recover() != nil {
			positions = Positions()
		}
	}()
	fault()
	return ""
}
