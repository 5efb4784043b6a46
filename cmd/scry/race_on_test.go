//go:build race

package main

// raceEnabled says that the race detector's own memory is part of the process.
const raceEnabled = true
