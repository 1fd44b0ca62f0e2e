package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

const (
	notesName  = "host-last-run.json"
	heapPrefix = "host-heap-"
	heapKept   = 3
	heapGap    = 10 * time.Minute
	killsKept  = 8
	notesMost  = 64 << 10 // bytes
)

// record is what is noted of a run.
type record struct {
	Clean bool   `json:"clean"`
	Boot  string `json:"boot"`  // of the kernel
	Group string `json:"group"` // whose kills are counted
	Kills uint64 `json:"kills"`
	Near  bool   `json:"near"` // to the memory limit
	// Seen is when kills were seen, by the wall clock, in milliseconds since 1970.
	Seen []int64 `json:"seen,omitempty"`
}

// notes is a small file that says how a run ended. A nil one notes nothing.
type notes struct {
	dir, root string
	now       record
	running   bool
	stale     bool // the file does not say what now does
	heapAt    time.Time
}

func newNotes(o Options) *notes {
	dir := o.OOM.StateDir
	if dir == "" {
		// systemd may give several, with colons between.
		dir, _, _ = strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	}
	if dir == "" {
		return nil
	}
	return &notes{dir: dir, root: o.Root}
}

// lastRun is what the notes say of the run before.
type lastRun struct {
	known, clean, near bool
	kills              uint64 // that were counted since
}

// begin reads how the last run ended and notes that another has begun. What could not
// be read is not known; that nothing can be written either is said by see.
func (n *notes) begin(group string, kills uint64) (last lastRun) {
	boot, err := os.ReadFile(under(n.root, "/proc/sys/kernel/random/boot_id"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		group = "" // what is not known proves nothing
	}
	old, err := n.load()
	if err == nil {
		last = lastRun{known: true, clean: old.Clean, near: old.Near}
		if group != "" && old.Boot == strings.TrimSpace(string(boot)) && old.Group == group && kills > old.Kills {
			last.kills = kills - old.Kills
		}
	}
	n.now = record{Boot: strings.TrimSpace(string(boot)), Group: group, Kills: kills, Seen: old.Seen}
	n.running = true
	_ = n.save()
	return last
}

// end notes that the run ended cleanly.
func (n *notes) end() {
	if !n.running {
		return
	}
	n.running, n.now.Clean, n.now.Near = false, true, false
	_ = n.save() // nobody looks any more; the next run takes this one for an unclean end
}

// see notes what changed. It writes only then, and again where that failed.
func (n *notes) see(group string, kills uint64, near bool) error {
	if !n.running {
		return nil
	}
	fresh := near && !n.now.Near
	if group != n.now.Group || kills != n.now.Kills || near != n.now.Near {
		n.now.Group, n.now.Kills, n.now.Near, n.stale = group, kills, near, true
	}
	var err error
	if n.stale {
		err = n.save()
	}
	if fresh && (n.heapAt.IsZero() || time.Since(n.heapAt) >= heapGap) {
		n.heapAt = time.Now()
		err = errors.Join(err, n.keepHeap())
	}
	return err
}

// kill notes a kill and says whether another was noted within the time before it.
func (n *notes) kill(at time.Time, within time.Duration) (another bool) {
	if n == nil {
		return false
	}
	for _, ms := range n.now.Seen {
		if ago := at.Sub(time.UnixMilli(ms)); ago >= 0 && ago < within {
			another = true
		}
	}
	n.now.Seen = append(n.now.Seen, at.UnixMilli())
	if len(n.now.Seen) > killsKept {
		n.now.Seen = slices.Clone(n.now.Seen[len(n.now.Seen)-killsKept:])
	}
	if n.running {
		_ = n.save() // see says if it cannot be written, and tries again
	}
	return another
}

func (n *notes) load() (record, error) {
	path := filepath.Join(n.dir, notesName)
	f, err := os.Open(path)
	if err != nil {
		return record{}, fmt.Errorf("host: how the last run ended: %w", err)
	}
	defer f.Close()
	buf := make([]byte, notesMost)
	size, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return record{}, fmt.Errorf("host: how the last run ended: %w", err)
	}
	return parseRecord(buf[:size]), nil
}

// parseRecord reads what save wrote. What is torn says nothing: a run that ended
// cleanly, since nobody is to be accused by half a file.
func parseRecord(text []byte) record {
	var r record
	if json.Unmarshal(text, &r) != nil {
		return record{Clean: true}
	}
	if len(r.Seen) > killsKept {
		r.Seen = r.Seen[len(r.Seen)-killsKept:]
	}
	return r
}

// save replaces the file as a whole.
func (n *notes) save() error {
	n.stale = true
	text, err := json.Marshal(n.now)
	if err == nil {
		err = os.MkdirAll(n.dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("host: how this run ends cannot be noted: %w", err)
	}
	path := filepath.Join(n.dir, notesName)
	temp := path + ".new"
	if err = os.WriteFile(temp, text, 0o600); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return fmt.Errorf("host: how this run ends cannot be noted: %w", err)
	}
	n.stale = false
	return nil
}

// keepHeap writes a heap profile while memory is short, since there may be no other
// occasion: a kill asks nobody. The newest three are kept.
func (n *notes) keepHeap() error {
	path := filepath.Join(n.dir, heapPrefix+time.Now().UTC().Format("20060102T150405.000")+".pprof")
	var text bytes.Buffer
	err := pprof.WriteHeapProfile(&text)
	if err == nil {
		err = os.WriteFile(path+".new", text.Bytes(), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path) // a kill leaves no half of it
	}
	if err != nil {
		return fmt.Errorf("host: the heap profile cannot be kept: %w", err)
	}
	all := n.heaps()
	for len(all) > heapKept {
		if err := os.Remove(all[0]); err != nil {
			return fmt.Errorf("host: an old heap profile cannot be removed: %w", err)
		}
		all = all[1:]
	}
	return nil
}

// heaps are the profiles that are kept, the oldest first.
func (n *notes) heaps() []string {
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries { // sorted by name, which is by time
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), heapPrefix) && filepath.Ext(e.Name()) == ".pprof" {
			all = append(all, filepath.Join(n.dir, e.Name()))
		}
	}
	return all
}
