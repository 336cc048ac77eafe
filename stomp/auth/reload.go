package auth

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	reloadSettle = 100 * time.Millisecond // from the first sign of a change to the read: editors write a file in several steps
	reloadPoll   = 10 * time.Second       // between looks at the file, for file systems and links that tell nothing
)

// Run follows the users file until ctx is done. It watches the folder and not the file, since editors and Kubernetes put a new file
// in the place of the old. A bad file is logged and the users before it stay.
func (u *Users) Run(ctx context.Context) error {
	var events <-chan fsnotify.Event // nil, and never ready, without a watcher
	var errs <-chan error
	if watcher := u.watch(); watcher != nil {
		defer watcher.Close()
		events, errs = watcher.Events, watcher.Errors
	}
	poll := time.NewTicker(reloadPoll)
	defer poll.Stop()
	settle := time.NewTimer(0) // the file may have changed since it was opened
	defer settle.Stop()
	settling, touched := true, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-events:
			if !ok {
				events = nil // the watcher gave up; the poll goes on
				continue
			}
			// A second event must not put the read off, or a busy folder would do so for ever.
			touched = touched || filepath.Base(event.Name) == filepath.Base(u.path)
			if !settling {
				settle.Reset(reloadSettle)
				settling = true
			}
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			u.logger.Warn("watching the users file", "error", err)
			u.reload(false) // events may have been lost
		case <-poll.C:
			u.reload(false)
		case <-settle.C:
			settling = false
			u.reload(touched)
			touched = false
		}
	}
}

// watch opens a watcher on the file's folder; nil when the system has none to give, and the poll finds the changes alone.
func (u *Users) watch() *fsnotify.Watcher {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		u.logger.Warn("users file not watched, looking at it from time to time", "every", reloadPoll, "error", err)
		return nil
	}
	if err := watcher.Add(filepath.Dir(u.path)); err != nil {
		u.logger.Warn("users file not watched, looking at it from time to time", "every", reloadPoll, "error", err)
		watcher.Close() // nothing was written to it that could be lost
		return nil
	}
	return watcher
}

// reload reads the file again if it looks changed, or in any case when it was touched.
func (u *Users) reload(touched bool) {
	stamp, err := os.Stat(u.path)
	if err == nil && !touched && u.stamp != nil && os.SameFile(stamp, u.stamp) &&
		stamp.ModTime().Equal(u.stamp.ModTime()) && stamp.Size() == u.stamp.Size() {
		return
	}
	if err != nil && u.stamp == nil && !touched {
		return // it was missing at the last look, and said so then
	}
	u.stamp = nil
	if err == nil {
		u.stamp = stamp
	}
	r, err := readRoster(u.path)
	if err != nil {
		u.logger.Error("users file not taken, the users before it stay", "path", u.path, "error", err)
		return
	}
	u.roster.Store(r)
	u.logger.Info("users file taken", "path", u.path, "users", len(r.users))
}
