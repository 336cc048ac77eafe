// Package brokertest helps to test the fold: a journal that replays and restores what it folded, scripts with one file a verb,
// and a model that says the same as the fold in the plainest way.
//
// Only tests import it. It starts no goroutine.
package brokertest
