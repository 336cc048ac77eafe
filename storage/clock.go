package storage

// The only place of this package that reads a clock: for figures and for pacing, never for what is stored.

import "time"

func wallClock() time.Time { return time.Now() }
