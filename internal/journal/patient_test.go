package journal_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

// A patient is a disk that fails or hangs when the test says so.
type patient struct {
	*simfs.FS
	mu    sync.Mutex
	fail  error
	only  simfs.Kind // -1: every kind
	hang  chan struct{}
	calls map[simfs.Kind]int
}

func newPatient() *patient {
	p := &patient{FS: simfs.New(1), only: -1, calls: map[simfs.Kind]int{}}
	p.SetHook(func(op simfs.Op) simfs.Fault {
		p.mu.Lock()
		p.calls[op.Kind]++
		fail, hang := p.fail, p.hang
		if p.only >= 0 && op.Kind != p.only {
			fail, hang = nil, nil
		}
		p.mu.Unlock()
		if hang != nil {
			<-hang
		}
		return simfs.Fault{Err: fail}
	})
	return p
}

func (p *patient) set(kind simfs.Kind, fail error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.only, p.fail = kind, fail
}

// freeze lets everything of a kind hang until thaw is called.
func (p *patient) freeze(kind simfs.Kind) (thaw func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hang := make(chan struct{})
	p.only, p.hang = kind, hang
	return func() {
		p.mu.Lock()
		p.hang = nil
		p.mu.Unlock()
		close(hang)
	}
}

func (p *patient) count(kind simfs.Kind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[kind]
}

// A diary keeps what the journal tells its owner.
type diary struct {
	mu    sync.Mutex
	began time.Time
	lines []string
	then  func(journal.Event)
}

func newDiary() *diary { return &diary{began: time.Now()} }

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, time.Since(d.began).String()+" "+fmt.Sprintf(format, args...))
}

func (d *diary) notify(e journal.Event) {
	if e.After > 0 {
		d.add("%v %v", e.Kind, e.After)
	} else {
		d.add("%v", e.Kind)
	}
	if d.then != nil {
		d.then(e)
	}
}

func (d *diary) take() []string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.lines = nil
	return lines
}

func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func open(t testing.TB, fs journal.FS, o journal.Options) *journal.Journal {
	t.Helper()
	if o.Log == (journal.LogOptions{}) {
		o.Log = small
	}
	j, err := journal.OpenFS(fs, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func entry(n uint64) journal.Entry {
	return journal.Entry{Type: typeNumber, Payload: number(n, 20)}
}

func entries(from, to uint64) (es []journal.Entry) {
	for n := from; n <= to; n++ {
		es = append(es, entry(n))
	}
	return es
}

func inState(n uint64) []journal.Entry {
	return []journal.Entry{{Type: typeState, Payload: number(n, 0)}}
}

func story(t testing.TB, fs journal.FS) string {
	t.Helper()
	s, _, err := tell(fs)
	require.NoError(t, err)
	return s
}
