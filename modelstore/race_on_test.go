//go:build race

package modelstore_test

// stride leaves operations out where a test visits each: with the race detector
// SQLite is ten times slower, and there is one goroutine anyway.
const stride = 7
