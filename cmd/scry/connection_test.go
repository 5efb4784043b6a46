package main

import (
	"strings"
	"testing"
)

// What a real server's refusals look like is in testdata/script/tls.txtar.
func TestMismatch(t *testing.T) {
	for _, test := range []struct {
		message string
		secure  bool
		hint    string // "" = a later try may succeed
	}{
		{message: `connection error: desc = "error reading server preface: EOF"`, hint: "--tls"},
		{message: `connection error: desc = "error reading server preface: EOF"`, secure: true},
		{message: "tls: failed to verify certificate: x509: certificate is valid for a.example, not b.example", secure: true, hint: "--server"},
		{message: "dial tcp 127.0.0.1:8001: connect: connection refused"},
	} {
		hint, ok := (&connection{secure: test.secure}).mismatch(test.message)
		if ok != (test.hint != "") || !strings.Contains(hint, test.hint) {
			t.Errorf("%s: hint %q", test.message, hint)
		}
	}
}
