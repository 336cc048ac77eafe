package brokertest

// check checks the invariants and the laws over all that was folded so far.
func check(w *World, a args) string {
	if err := w.State().Check(); err != nil {
		a.fail("%v", err)
	}
	if err := w.journal.Verify(1_000); err != nil {
		a.fail("%v", err)
	}
	return "ok\n"
}
