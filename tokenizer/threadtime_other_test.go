//go:build !linux

package tokenizer

import (
	"testing"
	"time"
)

var started = time.Now()

// threadTime falls back to the time of day.
func threadTime(*testing.T) time.Duration { return time.Since(started) }
