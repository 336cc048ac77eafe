package brokertest

import "fmt"

// again folds the last event once more, as a node does that saw no answer. Nothing may change.
func again(w *World, a args) string {
	digest, next, at := w.State().Digest(), w.State().Next(), w.now
	e := w.last
	e.At = at + 1_000
	text := w.apply(e)
	if w.State().Digest() != digest || w.State().Next() != next {
		a.fail("a repeated event changed the state")
	}
	return text + fmt.Sprintf("next #%d\n", next)
}
