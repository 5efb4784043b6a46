//go:build !race

package modelstore_test

// stride is 1 where a test visits every operation.
const stride = 1
