//go:build !race

package gostomp_test

// raceEnabled: the tests run without the race detector, and so does the broker.
const raceEnabled = false
