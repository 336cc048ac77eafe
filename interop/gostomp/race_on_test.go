//go:build race

package gostomp_test

// raceEnabled: the tests run under the race detector, so the broker is built with it.
const raceEnabled = true
