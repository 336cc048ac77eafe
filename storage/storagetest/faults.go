package storagetest

// Faults: fails the Nth operation of a store, and everything after it, as a crash would.

import (
	"errors"
	"fmt"
	"sync"

	"stampede/storage"
)

// ErrInjected is the error of a fault.
var ErrInjected = errors.New("injected fault")

// Faults counts the operations of a store and fails the Nth, once N is set. From then on every operation fails: the
// disk stays as a crash at that moment would leave it.
type Faults struct {
	mu   sync.Mutex
	fail int        // guarded by mu: which operation fails, 0 for none
	only storage.Op // guarded by mu: the operations that count, all when empty
	seen int        // guarded by mu
	ops  map[storage.Op]int
	dead bool // guarded by mu
}

// FailNth arms the fault for the nth operation from now on that is op, or any operation when op is empty. 0 disarms.
func (f *Faults) FailNth(n int, op storage.Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.only, f.seen, f.dead = n, op, 0, false
}

// Seen returns how many operations counted since FailNth.
func (f *Faults) Seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// Ops returns how often each operation was met.
func (f *Faults) Ops() map[storage.Op]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	ops := make(map[storage.Op]int, len(f.ops))
	for op, n := range f.ops {
		ops[op] = n
	}
	return ops
}

// Tripped says whether the fault has happened.
func (f *Faults) Tripped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// Hook is for storage.Options.Fault.
func (f *Faults) Hook(op storage.Op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ops == nil {
		f.ops = make(map[storage.Op]int)
	}
	f.ops[op]++
	if f.only == "" || f.only == op {
		f.seen++
		f.dead = f.dead || f.seen == f.fail
	}
	if f.dead {
		return fmt.Errorf("%s %s: %w", op, name, ErrInjected)
	}
	return nil
}
