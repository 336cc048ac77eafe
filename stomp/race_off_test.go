//go:build !race

package stomp_test

// raceEnabled says that the pools drop blocks at random, so that taking one may allocate.
const raceEnabled = false
